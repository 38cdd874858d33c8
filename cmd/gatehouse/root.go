package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gatehouse/idp/api"
)

// cli is what the client commands share: the streams, and the flags that say which server and which output.
type cli struct {
	streams
	data, server, token, output string
}

// rootCommand makes the command tree. started becomes true once the words are understood and a command runs.
func rootCommand(std streams, env func(string) (string, bool)) (root *cobra.Command, started *bool) {
	c := &cli{streams: std}
	started = new(bool)
	root = &cobra.Command{
		Use:           "gatehouse",
		Short:         "sign in once, open every app: a self-hosted identity provider",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          needsCommand,
		PersistentPreRunE: func(command *cobra.Command, _ []string) error {
			*started = true
			return fromEnvironment(command, env)
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVar(&c.data, "data", "", "data directory of the server on this machine")
	flags.StringVar(&c.server, "server", "", "base URL of a server elsewhere")
	flags.StringVar(&c.token, "token", "", "API token for --server; better in GATEHOUSE_TOKEN")
	flags.StringVar(&c.output, "output", "text", "text or json")
	root.AddCommand(serveCommand(), demoCommand())
	root.AddCommand(c.appCommand(), c.userCommand(), c.metadataCommand(), c.sourceCommand(), c.ldapCommand(), c.upstreamCommand(), c.scopeCommand(), c.explainCommand(), c.settingsCommand(),
		c.keyCommand(), c.sessionCommand(), c.requestCommand(), c.grantCommand(), c.tokenCommand(), c.auditCommand(), c.traceCommand(), c.versionCommand())
	for _, kind := range namedKinds {
		root.AddCommand(c.namedCommand(kind))
	}
	return root, started
}

// fromEnvironment fills the flags that were not given from GATEHOUSE_… variables: --base-url from GATEHOUSE_BASE_URL.
func fromEnvironment(command *cobra.Command, env func(string) (string, bool)) error {
	var failed error
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		name := "GATEHOUSE_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		value, set := env(name)
		if !set || flag.Changed || flag.Name == "help" || failed != nil {
			return
		}
		if err := command.Flags().Set(flag.Name, value); err != nil {
			failed = usagef("%s holds %q, which is no value for --%s", name, value, flag.Name)
		}
	})
	return failed
}

// needsCommand is what a command without an action of its own does.
func needsCommand(command *cobra.Command, args []string) error {
	var names []string
	for _, sub := range command.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			names = append(names, sub.Name())
		}
	}
	if len(args) > 0 {
		return usagef("%s has no command %q: choose %s", command.CommandPath(), args[0], strings.Join(names, ", "))
	}
	return usagef("%s needs a command: choose %s", command.CommandPath(), strings.Join(names, ", "))
}

// pointer leads from words that cobra refused to the help of the command, and to the flag that was perhaps meant.
func pointer(command *cobra.Command, err error) string {
	help := "ee `" + command.CommandPath() + " --help`"
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" {
		if near := nearestFlags(command, unknown.GetSpecifiedName()); len(near) > 0 {
			return ": did you mean --" + strings.Join(near, " or --") + "? S" + help
		}
	}
	return ": s" + help
}

// nearestFlags are the flags that begin so, or else those that are called almost so: a third of the letters may be wrong.
func nearestFlags(command *cobra.Command, name string) []string {
	flags := &cobra.Command{} // which knows how to look among its commands
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		flags.AddCommand(&cobra.Command{Use: flag.Name, Run: func(*cobra.Command, []string) {}})
	})
	for flags.SuggestionsMinimumDistance <= len(name)/3 {
		if near := flags.SuggestionsFor(name); len(near) > 0 {
			return near
		}
		flags.SuggestionsMinimumDistance++
	}
	return nil
}

// group makes a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: needsCommand}
	command.AddCommand(subs...)
	return command
}

// exactly wants so many arguments; the use line says which.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

// atLeast wants so many arguments or more.
func atLeast(n int) cobra.PositionalArgs { return between(n, math.MaxInt) }

// atMost wants so many arguments or fewer.
func atMost(n int) cobra.PositionalArgs { return between(0, n) }

func between(least, most int) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usagef("write it like this: %s", useLine(command))
		}
		if slices.ContainsFunc(args, func(word string) bool { return strings.TrimSpace(word) == "" }) {
			return usagef("an argument is empty: write it like this: %s", useLine(command))
		}
		return nil
	}
}

func useLine(command *cobra.Command) string {
	_, words, _ := strings.Cut(command.Use, " ")
	return strings.TrimSpace(command.CommandPath() + " " + words)
}

// client connects to the server that the flags name.
func (c *cli) client() (*api.Client, error) {
	switch {
	case c.output != "text" && c.output != "json":
		return nil, usagef("--output is text or json, not %q", c.output)
	case c.server != "" && c.data != "":
		return nil, usagef("give --data or --server, not both")
	case c.data != "":
		return api.OverSocket(c.data), nil
	case c.server == "":
		return nil, usagef("say which server: --data DIR for the one on this machine, or --server URL --token T (or GATEHOUSE_DATA, GATEHOUSE_SERVER, GATEHOUSE_TOKEN)")
	}
	client, err := api.OverNetwork(c.server, c.token)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return client, nil
}

// action makes the RunE of a client command.
func (c *cli) action(run func(command *cobra.Command, client *api.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, args []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		return run(command, client, args)
	}
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version of this program, and of the server when one is named", Args: exactly(0),
		RunE: func(command *cobra.Command, _ []string) error {
			answer := map[string]string{"version": api.BuildVersion()}
			if c.data != "" || c.server != "" {
				client, err := c.client()
				if err != nil {
					return err
				}
				server, err := client.Version(command.Context())
				if err != nil {
					return err
				}
				answer["server"] = server.Version
			}
			if c.output == "json" {
				return c.json(answer)
			}
			fmt.Fprintln(c.out, "gatehouse", answer["version"])
			if server := answer["server"]; server != "" {
				fmt.Fprintln(c.out, "server", server)
			}
			return nil
		},
	}
}
