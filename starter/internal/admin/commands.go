// Package admin has the commands that administer the desk: settings, agents, queues, plugins, insights, API keys,
// webhooks, and the erasure of a customer.
//
// Must not import: the other packages with commands.
package admin

import (
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/starter/internal/cli"
)

// Commands returns the commands of the group "Administer the desk", except those about its database.
func Commands(c *cli.Env) []*cobra.Command {
	return []*cobra.Command{
		settingsCommand(c), agentsCommand(c), queuesCommand(c), pluginsCommand(c), insightsCommand(c), keysCommand(c), webhooksCommand(c), eraseCommand(c),
	}
}

// name returns an argument check that requires exactly one name.
func name(of string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return cli.WrongUsage("name one %s", of)
		}
		return nil
	}
}

// shownAs returns the friendly name for a table, or a dash if it equals the name.
func shownAs(friendly, name string) string {
	if friendly == name {
		return "-"
	}
	return cli.OneLine(friendly)
}

// addedName returns the help about names for a command that adds an agent or a queue.
func addedName(does, friendly, unique string) string {
	return does + "\n\nA NAME that is one word in ASCII is the unique name: lower-case letters, digits, '.', '_' and '-'. Of any other,\n" +
		"such as \"" + friendly + "\", the unique name is made (" + unique + "), and people read the NAME as it was given.\n" +
		"Commands take the unique name."
}

// namesOf returns the unique and the friendly name of an agent or a queue to add. The unique name is empty if the
// desk has to make it.
func namesOf(given, friendly string) (unique, shown string) {
	made := strings.ContainsFunc(given, func(r rune) bool { return r == ' ' || r > unicode.MaxASCII })
	if friendly != "" || !made {
		return given, friendly // "Dave" may be a mistake: the desk's error explains unique names
	}
	return "", given
}
