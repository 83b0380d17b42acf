package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/build"
)

// Exit codes.
const (
	exitDone    = 0
	exitRefused = 1
	exitUsage   = 2
)

// cli is one run of the command line. It holds everything that comes from outside.
type cli struct {
	getenv         func(string) string
	stdout, stderr io.Writer

	// Flags of every command.
	json      bool
	temporal  string
	namespace string
	data      string
	timeout   time.Duration

	// path is the path of the running command, such as "baton keys account".
	path string
	// started is set after flags and arguments have been accepted.
	started bool
}

// usageError is wrong usage of a command; its message says what is correct.
type usageError struct{ error }

func wrongUsage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	c := &cli{getenv: getenv, stdout: stdout, stderr: stderr}
	root := c.root() //nolint:contextcheck // cobra passes the context to each command
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	if refusal, ok := errors.AsType[*conversation.Refusal](err); ok {
		// The wrapping context is left out: the user has just typed the command.
		sentence := refusal.Naming(flagOf(ran, refusal.Details.Field))
		if advice := c.advice(ctx, ran, refusal); advice != "" {
			sentence += "; " + advice
		}
		fmt.Fprintln(stderr, printable(string(refusal.Code)+": "+sentence))
		return exitRefused
	}
	fmt.Fprintln(stderr, printable(err.Error()))
	if _, usage := errors.AsType[usageError](err); usage || !c.started {
		fmt.Fprintf(stderr, "see `%s --help`\n", ran.CommandPath())
		return exitUsage
	}
	return exitRefused
}

// flagOf returns the command's flag for a field of the desk or of the rules; "" if there is none.
func flagOf(cmd *cobra.Command, field string) string {
	whole, _, _ := strings.Cut(field, ".") // --to has both the agent and the queue of a target
	for _, name := range []string{strings.NewReplacer("_", "-", ".", "-").Replace(field), whole} {
		if field != "" && cmd.Flags().Lookup(name) != nil {
			return "--" + name
		}
	}
	return ""
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "baton",
		Short:         "Baton: hands customer conversations from one agent to another without dropping them",
		SilenceErrors: true, SilenceUsage: true,
	}
	var version bool
	root.Flags().BoolVar(&version, "version", false, "print version, build ID and Go's version")
	root.RunE = func(*cobra.Command, []string) error {
		if !version {
			return root.Help()
		}
		this, err := build.Read()
		if err != nil {
			return err
		}
		return c.print(this, func(w io.Writer) { fmt.Fprintln(w, "baton", this) })
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&c.json, "json", false, "print JSON instead of tables")
	flags.StringVar(&c.temporal, "temporal", "", "`address` of the Temporal server (default: TEMPORAL_ADDRESS, else the one that 'baton dev' runs)")
	flags.StringVar(&c.namespace, "namespace", "", "Temporal namespace (default: TEMPORAL_NAMESPACE, else \"default\")")
	flags.StringVar(&c.data, "data", "", "`folder` of baton dev (default: BATON_DATA, else .baton); the desk is in it unless BATON_DATABASE says otherwise")
	durationVar(flags, &c.timeout, "timeout", 30*time.Second, "how long a command may take")
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run Baton:"},
		&cobra.Group{ID: "conversation", Title: "Drive a conversation:"},
		&cobra.Group{ID: "desk", Title: "Administer the desk:"},
	)
	for group, commands := range map[string][]*cobra.Command{
		"run":          {c.demo(), c.dev(), c.setup(), c.replay(), c.deployment(), c.bench(), c.importDialogues()},
		"conversation": c.conversationCommands(),
		"desk":         {c.settings(), c.agents(), c.queues(), c.plugins(), c.insights(), c.keys(), c.webhooks(), c.keyring(), c.deskCommand(), c.erase()},
	} {
		for _, command := range commands {
			command.GroupID = group
			root.AddCommand(command)
		}
	}
	c.noteStart(root)
	return root
}

// noteStart makes every command record that it has started. An error before that is wrong usage.
func (c *cli) noteStart(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			c.started, c.path = true, cmd.CommandPath()
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		c.noteStart(sub)
	}
}

// printJSON prints any value as indented JSON.
func (c *cli) printJSON(value any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	var escaped strings.Builder // encoding/json escapes only ASCII control characters
	for _, r := range b.String() {
		if r != '\n' && conversation.Hidden(r) {
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&escaped, `\u%04x`, unit)
			}
			continue
		}
		escaped.WriteRune(r)
	}
	if _, err := io.WriteString(c.stdout, escaped.String()); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// print prints the value as JSON if --json is set, else with human.
func (c *cli) print(value any, human func(w io.Writer)) error {
	if c.json {
		return c.printJSON(value)
	}
	var b bytes.Buffer
	human(&b)
	fmt.Fprint(c.stdout, printable(b.String()))
	return nil
}

// onOff parses the value of a flag that is on or off.
func onOff(flag, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "on", "true", "yes":
		return true, nil
	case "off", "false", "no":
		return false, nil
	}
	return false, wrongUsage("--%s is %q: use on or off", flag, value)
}

func showSwitch(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
