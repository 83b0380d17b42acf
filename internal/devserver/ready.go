package devserver

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/baton-transfers/baton/internal/sleep"
)

// ready waits until everything that the options ask for answers. Its error says why the server cannot answer.
func (s *Server) ready(ctx context.Context, options Options, frontend, ui endpoint) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.done: // there will be no answer
			cancel()
		case <-ctx.Done():
		}
	}()
	err := s.answers(ctx, options, frontend, ui)
	select {
	case <-s.done:
		return s.explain(options, frontend, ui)
	default:
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("start the dev server: %w (%w)%s", context.Cause(ctx), err, quoteLog(s.log.last()))
	}
	return err
}

func (s *Server) answers(ctx context.Context, options Options, frontend, ui endpoint) error {
	if err := accepts(ctx, frontend); err != nil {
		return err
	}
	temporal, err := client.NewLazyClient(client.Options{
		HostPort:  s.Address,
		Namespace: options.namespace(),
		Logger:    log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return fmt.Errorf("make a client for the dev server: %w", err)
	}
	defer temporal.Close()
	if err := until(ctx, func() error {
		if _, err := temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
			return fmt.Errorf("ask the dev server for its health: %w", err)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := until(ctx, func() error {
		if _, err := temporal.WorkflowService().DescribeNamespace(ctx,
			&workflowservice.DescribeNamespaceRequest{Namespace: options.namespace()}); err != nil {
			return fmt.Errorf("look for the namespace %s: %w", options.namespace(), err)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := RegisterSearchAttributes(ctx, temporal, options.namespace(), options.SearchAttributes); err != nil {
		return err
	}
	if options.UIAddress == "" {
		return nil
	}
	return accepts(ctx, ui)
}

// explain returns an error that says what to do about a server that ended before it answered.
func (s *Server) explain(options Options, frontend, ui endpoint) error {
	lines := s.log.last()
	text := strings.Join(lines, "\n")
	says := func(phrases ...string) bool {
		return slices.ContainsFunc(phrases, func(phrase string) bool { return strings.Contains(text, phrase) })
	}
	switch {
	case says("address already in use") && !frontend.chosen && says(frontend.String()+":"):
		return fmt.Errorf("%w%s", portInUse("the dev server", frontend.String()), quoteLog(lines))
	case says("address already in use") && options.UIAddress != "" && !ui.chosen && says(ui.String()+":"):
		return fmt.Errorf("%w%s", portInUse("the Web UI", ui.String()), quoteLog(lines))
	case says("address already in use"):
		return fmt.Errorf("%w: start it again%s", errPortLost, quoteLog(lines))
	case options.DatabaseFile != "" && says("file is not a database", "disk image is malformed", "no such table"):
		return fmt.Errorf("the database file %[1]s is damaged, or is not one of the dev server's: restore it from a copy, or move it "+
			"and the files next to it (%[1]s-wal, %[1]s-shm) away and start again with a new one%[2]s", options.DatabaseFile, quoteLog(lines))
	case options.DatabaseFile != "" && says("unable to open database file"):
		return fmt.Errorf("the database file %s cannot be opened: make it a file that you may read and write, or choose another%s",
			options.DatabaseFile, quoteLog(lines))
	case says("unknown flag", "unknown command"):
		return fmt.Errorf("%s is not a Temporal CLI that this version knows: use version %s or newer%s", options.Binary, Version, quoteLog(lines))
	case s.log.crashed():
		return fmt.Errorf("%w: its log says why, often that it finds no free port%s", errCrashed, quoteLog(lines))
	default:
		return fmt.Errorf("the dev server does not start: %w", s.err)
	}
}

// RegisterSearchAttributes registers the search attributes that the namespace lacks, and returns when the server
// lists them. An attribute that exists with another type is an error, because the server cannot change the type.
func RegisterSearchAttributes(ctx context.Context, temporal client.Client, namespace string, wanted map[string]enumspb.IndexedValueType) error {
	missing, err := missingSearchAttributes(ctx, temporal, namespace, wanted)
	if err != nil || len(missing) == 0 {
		return err
	}
	if _, err := temporal.OperatorService().AddSearchAttributes(ctx,
		&operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing}); err != nil {
		return fmt.Errorf("register the search attributes %s in namespace %s: %w",
			strings.Join(slices.Sorted(maps.Keys(missing)), ", "), namespace, err)
	}
	return until(ctx, func() error {
		missing, err := missingSearchAttributes(ctx, temporal, namespace, wanted)
		if err == nil && len(missing) > 0 {
			return fmt.Errorf("the search attributes %s do not show in namespace %s yet",
				strings.Join(slices.Sorted(maps.Keys(missing)), ", "), namespace)
		}
		return err
	})
}

func missingSearchAttributes(
	ctx context.Context, temporal client.Client, namespace string, wanted map[string]enumspb.IndexedValueType,
) (map[string]enumspb.IndexedValueType, error) {
	missing := maps.Clone(wanted)
	if len(missing) == 0 {
		return missing, nil
	}
	listed, err := temporal.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("list the search attributes of namespace %s: %w", namespace, err)
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		has, ok := listed.GetCustomAttributes()[name]
		if !ok {
			continue
		}
		if has != wanted[name] {
			return nil, fmt.Errorf("the search attribute %s of namespace %s is of type %s, and has to be of type %s: "+
				"remove it there, or use another namespace", name, namespace, has, wanted[name])
		}
		delete(missing, name)
	}
	return missing, nil
}

// accepts waits until the endpoint accepts connections.
func accepts(ctx context.Context, at endpoint) error {
	return until(ctx, func() error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", at.String())
		if err != nil {
			return fmt.Errorf("reach the dev server: %w", err)
		}
		_ = connection.Close()
		return nil
	})
}

// until calls try until it succeeds or ctx ends, and returns the last error.
func until(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil || sleep.For(ctx, healthPoll) != nil {
			return err
		}
	}
}
