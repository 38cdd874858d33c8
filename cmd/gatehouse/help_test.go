package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"gatehouse/idp"
	"gatehouse/idp/api"
)

// TestSetHelpListsTheSettings: whoever wants to set something finds every key with its values, where they type.
func TestSetHelpListsTheSettings(t *testing.T) {
	for words, list := range map[string][]api.Setting{"app set --help": idp.AppSettings(), "settings set --help": idp.OrganisationSettings()} {
		code, out, errs := command(t, nil, strings.Fields(words)...)
		if code != exitOK || errs != "" || len(list) < 30 {
			t.Errorf("%s: exit %d, %d settings\n%s", words, code, len(list), errs)
		}
		for _, s := range list {
			_, line, found := strings.Cut(out, "\n  "+s.Key+"=")
			line, help, _ := strings.Cut(line, "\n")
			if !found || line == "" || !strings.Contains(strings.SplitN(help, "\n", 2)[0], s.Help) {
				t.Errorf("%s does not describe %s", words, s.Key)
			}
			for _, option := range s.Options {
				if !strings.Contains(line, option) {
					t.Errorf("%s: %s does not name the value %s: %s", words, s.Key, option, line)
				}
			}
		}
	}
}

// exampled are the groups of commands that connect apps over OAuth; each of their commands, and the others named here, shows how it is
// typed.
var exampled = []string{"app", "scope", "grant", "upstream", "settings set", "settings list", "explain", "trace", "audit list", "key stage", "token create", "serve", "user add", "user set", "user invite", "user reset-password"}

// TestExamples: they are there, begin with their own command, and are words that it takes.
func TestExamples(t *testing.T) {
	root, _ := rootCommand(streams{}, func(string) (string, bool) { return "", false })
	eachCommand(root, func(c *cobra.Command) {
		path := strings.TrimPrefix(c.CommandPath(), "gatehouse ")
		wanted := slices.ContainsFunc(exampled, func(group string) bool { return path == group || strings.HasPrefix(path, group+" ") })
		if wanted && c.Example == "" {
			t.Errorf("%s has no example", path)
		}
		for line := range strings.SplitSeq(c.Example, "\n") {
			if c.Example != "" {
				checkExample(t, c, strings.TrimSpace(line))
			}
		}
	})
}

func eachCommand(c *cobra.Command, visit func(*cobra.Command)) {
	if !c.HasSubCommands() {
		visit(c)
	}
	for _, sub := range c.Commands() {
		eachCommand(sub, visit)
	}
}

func checkExample(t *testing.T, of *cobra.Command, line string) {
	t.Helper()
	rest, found := strings.CutPrefix(line, of.CommandPath())
	rest, _, _ = strings.Cut(rest, " <") // what the shell does
	rest, _, _ = strings.Cut(rest, " >")
	root, _ := rootCommand(streams{}, func(string) (string, bool) { return "", false })
	fresh, _, err := root.Find(strings.Fields(of.CommandPath())[1:])
	if !found || err != nil {
		t.Fatalf("%q is no example of %s: %v", line, of.CommandPath(), err)
	}
	if err := fresh.ParseFlags(shellWords(rest)); err != nil {
		t.Errorf("%s: %v", line, err)
	} else if err := fresh.ValidateArgs(fresh.Flags().Args()); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// shellWords splits at spaces that are not between double quotes.
func shellWords(text string) []string {
	quoted := false
	return strings.FieldsFunc(text, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
}
