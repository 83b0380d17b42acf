package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/build"
	"github.com/baton-transfers/baton/starter/internal/admin"
	"github.com/baton-transfers/baton/starter/internal/benchmark"
	"github.com/baton-transfers/baton/starter/internal/cli"
	"github.com/baton-transfers/baton/starter/internal/conversations"
	"github.com/baton-transfers/baton/starter/internal/database"
	"github.com/baton-transfers/baton/starter/internal/dialogues"
	"github.com/baton-transfers/baton/starter/internal/local"
	"github.com/baton-transfers/baton/starter/internal/upgrade"
)

// Exit codes.
const (
	exitDone    = 0
	exitRefused = 1
	exitUsage   = 2
)

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	c := &cli.Env{Getenv: getenv, Stdout: stdout, Stderr: stderr}
	root := rootCommand(c) //nolint:contextcheck // cobra passes the context to each command
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	if refusal, ok := errors.AsType[*conversation.Refusal](err); ok {
		// The wrapping context is left out: the user has just typed the command.
		fmt.Fprintln(stderr, cli.Printable(c.Refusal(ctx, ran, refusal)))
		return exitRefused
	}
	fmt.Fprintln(stderr, cli.Printable(err.Error()))
	if _, usage := errors.AsType[cli.UsageError](err); usage || c.Path == "" {
		fmt.Fprintf(stderr, "see `%s --help`\n", ran.CommandPath())
		return exitUsage
	}
	return exitRefused
}

func rootCommand(c *cli.Env) *cobra.Command {
	root := &cobra.Command{
		Use:           "baton",
		Short:         "Baton transfers customer conversations between support agents",
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
		return c.Print(this, func(w io.Writer) { fmt.Fprintln(w, "baton", this) })
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&c.JSON, "json", false, "print JSON instead of tables")
	flags.StringVar(&c.Temporal, "temporal", "", "`address` of the Temporal server (default: TEMPORAL_ADDRESS, else the server of 'baton dev')")
	flags.StringVar(&c.Namespace, "namespace", "", "Temporal namespace (default: TEMPORAL_NAMESPACE, else \"default\")")
	flags.StringVar(&c.Data, "data", "", "data `folder` (default: BATON_DATA, else .baton); the desk is in it unless BATON_DATABASE is set")
	cli.DurationVar(flags, &c.Timeout, "timeout", 30*time.Second, "time limit of the command")
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run Baton:"},
		&cobra.Group{ID: "conversation", Title: "Drive a conversation:"},
		&cobra.Group{ID: "desk", Title: "Administer the desk:"},
	)
	for group, commands := range map[string][]*cobra.Command{
		"run":          {local.Demo(c), local.Dev(c), database.Setup(c), upgrade.Replay(c), upgrade.Deployment(c), benchmark.Command(c), dialogues.Command(c)},
		"conversation": conversations.Commands(c),
		"desk":         append(admin.Commands(c), database.Keyring(c), database.Desk(c)),
	} {
		for _, command := range commands {
			command.GroupID = group
			root.AddCommand(command)
		}
	}
	notePath(c, root)
	return root
}

// notePath makes every command record its path when it starts. An error before that is wrong usage.
func notePath(c *cli.Env, cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			c.Path = cmd.CommandPath()
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		notePath(c, sub)
	}
}
