package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

// howToSet says what the settings of an app and of the organisation have in common.
const howToSet = "@FILE reads a value from a file. A LIST has commas between its items, or is a JSON array; a DURATION is like 90s,\n" +
	"10m, 8h or 14d, a TIME like 2027-01-31T18:00:00Z."

// settingsHelp describes each key of a table with its values, in a line each.
func settingsHelp(list []api.Setting) string {
	var text strings.Builder
	text.WriteString(howToSet + "\n")
	for i := range list {
		s := &list[i]
		fmt.Fprintf(&text, "\n  %s=%s\n      %s: %s", s.Key, valueWords(s), s.Label, s.Help)
		if s.Default != "" && s.Kind != "json" {
			fmt.Fprintf(&text, " Default: %s.", s.Default)
		}
	}
	return text.String()
}

// valueWords are the values that a setting has, or of what kind they are.
func valueWords(s *api.Setting) string {
	switch {
	case s.Kind == "bool":
		return "true|false"
	case s.Kind == "list" && len(s.Options) > 0:
		return "LIST of " + strings.Join(s.Options, ", ")
	case len(s.Options) > 0:
		return strings.Join(s.Options, "|")
	}
	return strings.ToUpper(s.Kind)
}

// describeSettings gives a command that sets something the description of what there is to set.
func describeSettings(command *cobra.Command, list []api.Setting) {
	command.Long = strings.ToUpper(command.Short[:1]) + command.Short[1:] + ".\n\n" + settingsHelp(list)
}

// examples are commands as one types them, a line each.
func examples(lines ...string) string { return "  gatehouse " + strings.Join(lines, "\n  gatehouse ") }
