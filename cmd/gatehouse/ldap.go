package main

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

func (c *cli) ldapCommand() *cobra.Command {
	return group("source", "LDAP directories and Active Directory whose people sign in with the password that they have there",
		c.ldapAdd(), c.ldapList(), c.ldapShow(), c.ldapSet(), c.ldapRemove(), c.ldapTest(), c.ldapSync())
}

// ldapFlags are the settings that have a flag of their own.
func ldapFlags(command *cobra.Command) func() map[string]string {
	names := map[string]string{
		"url": "ldaps://HOST or ldap://HOST, which is encrypted by StartTLS", "bind-dn": "the account that Gatehouse searches with",
		"base-dn": "where the people are", "user-filter": "an LDAP filter in which {name} stands for what was typed",
		"group-base": "where the groups are", "profile": "of people in no group of profiles",
	}
	for name, help := range names {
		command.Flags().String(name, "", help)
	}
	command.Flags().String("ca", "", "file of the certificates of the authority that signed the server's, in PEM form")
	return func() map[string]string {
		values := map[string]string{}
		for name := range maps.Keys(names) {
			if value := command.Flag(name).Value.String(); value != "" {
				values[strings.ReplaceAll(name, "-", "_")] = value
			}
		}
		return values
	}
}

func (c *cli) ldapAdd() *cobra.Command {
	n := api.NewDirectorySource{}
	var set []string
	var stdin, activeDirectory bool
	command := &cobra.Command{
		Use:   "add NAME --url URL --base-dn DN --bind-dn DN --bind-password-stdin",
		Short: "let the people of a directory sign in here; they are brought over within a minute, or at once by `source sync`",
		Args:  exactly(1),
	}
	flags := ldapFlags(command)
	command.RunE = c.action(func(command *cobra.Command, client *api.Client, args []string) error {
		var err error
		if n.Name = args[0]; activeDirectory {
			n.Kind = "ad"
		}
		if n.Set, n.BindPassword, err = c.ldapValues(command, set, flags(), stdin); err != nil {
			return err
		}
		source, err := client.AddDirectorySource(command.Context(), n)
		if err != nil {
			return err
		}
		return c.id(source, source.Name)
	})
	f := command.Flags()
	f.BoolVar(&stdin, "bind-password-stdin", false, "read the password of --bind-dn from stdin")
	f.BoolVar(&activeDirectory, "active-directory", false, "it is Active Directory, whose names of attributes are the defaults then")
	f.StringArrayVar(&set, "set", nil, "KEY=VALUE of what `source show` lists; may be repeated")
	return command
}

// ldapValues gathers the settings of flags and words, and the bind password.
func (c *cli) ldapValues(command *cobra.Command, words []string, flags map[string]string, stdin bool) (map[string]string, string, error) {
	values, err := keyValues(words)
	if err != nil {
		return nil, "", err
	}
	maps.Copy(values, flags)
	if file := command.Flag("ca").Value.String(); file != "" {
		pem, err := readFile(file)
		if err != nil {
			return nil, "", err
		}
		values["ca"] = string(pem)
	}
	if !stdin {
		return values, "", nil
	}
	password, err := c.password(true, true)
	return values, password, err
}

func (c *cli) ldapList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the sources", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := client.DirectorySources(command.Context())
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, s := range list.Items {
					rows = append(rows, []string{s.Name, s.Kind, strconv.Itoa(s.People), stamp(s.Good), stamp(s.Next), plain(s.Error)})
				}
				return c.table([]string{"NAME", "KIND", "PEOPLE", "LAST GOOD", "NEXT", "ERROR"}, rows)
			})
		}),
	}
}

func (c *cli) ldapShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "show a source, its settings and how its last run went", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			s, err := client.DirectorySource(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(s, func() error {
				err := c.facts("name", s.Name, "kind", s.Kind, "bind password", map[bool]string{true: "set", false: "none"}[s.HasPassword],
					"people", strconv.Itoa(s.People), "added", stamp(s.Created), "by", s.CreatedBy, "last tried", stamp(s.Tried), "last good", stamp(s.Good),
					"next", stamp(s.Next), "error", plain(s.Error))
				if err != nil {
					return err
				}
				fmt.Fprintln(c.out)
				return c.settings(s.Settings)
			})
		}),
	}
}

func (c *cli) ldapSet() *cobra.Command {
	var stdin bool
	command := &cobra.Command{
		Use: "set NAME KEY=VALUE...", Short: "change settings (ca=@FILE reads one), or the bind password", Args: atLeast(1),
	}
	flags := ldapFlags(command)
	command.RunE = c.action(func(command *cobra.Command, client *api.Client, args []string) error {
		values, password, err := c.ldapValues(command, args[1:], flags(), stdin)
		if err != nil {
			return err
		}
		source, err := client.SetDirectorySource(command.Context(), args[0], api.DirectorySourceChange{Set: values, BindPassword: password})
		if err != nil {
			return err
		}
		return c.quiet(source)
	})
	command.Flags().BoolVar(&stdin, "bind-password-stdin", false, "read the new bind password from stdin")
	return command
}

func (c *cli) ldapRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "remove a source; its people stay, and sign in again once each is given a password", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			source, err := client.RemoveDirectorySource(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.quiet(source)
		}),
	}
}

func (c *cli) ldapTest() *cobra.Command {
	return &cobra.Command{
		Use: "test NAME [USER]", Short: "ask a source whether it answers, and what it says about a user name", Args: between(1, 2),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			user := append(args, "")[1]
			found, err := client.TestDirectorySource(command.Context(), args[0], user)
			if err != nil {
				return err
			}
			return c.show(found, func() error { return c.ldapFound(&found, user) })
		}),
	}
}

func (c *cli) ldapFound(t *api.SourceTest, user string) error {
	if !t.Found {
		text := "The server answers, and the bind account may search."
		if user != "" {
			text = fmt.Sprintf("The server answers, and has nobody called %q.", user)
		}
		_, err := fmt.Fprintln(c.out, text)
		return err
	}
	pairs := []string{"dn", plain(t.DN), "id", plain(t.ID), "name", plain(t.Name), "email", plain(t.Email), "given name", plain(t.GivenName),
		"surname", plain(t.Surname), "display name", plain(t.DisplayName)}
	for name, values := range t.Attributes {
		pairs = append(pairs, "attribute "+name, plain(strings.Join(values, ", ")))
	}
	return c.facts(append(pairs, "groups there", plain(strings.Join(t.Groups, "; ")), "profile", t.Profile, "permission sets", strings.Join(t.PermissionSets, ", "),
		"groups", strings.Join(t.HereGroups, ", "), "problem", plain(t.Problem))...)
}

func (c *cli) ldapSync() *cobra.Command {
	var ask api.RunSync
	command := &cobra.Command{
		Use: "sync NAME", Short: "bring the people of a source over now", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			report, err := client.SyncDirectorySource(command.Context(), args[0], ask)
			if err != nil {
				return err
			}
			return c.show(report, func() error {
				for _, reason := range report.Reasons {
					fmt.Fprintln(c.err, "left out:", plain(reason))
				}
				return c.facts("found", strconv.Itoa(report.Found), "created", strconv.Itoa(report.Created), "changed", strconv.Itoa(report.Changed),
					"disabled", strconv.Itoa(report.Disabled), "left out", strconv.Itoa(report.Left), "gone", plain(strings.Join(report.Gone, ", ")))
			})
		}),
	}
	command.Flags().BoolVar(&ask.DryRun, "dry-run", false, "change nothing, and tell what would change")
	command.Flags().BoolVar(&ask.Force, "force", false, "disable people however many are gone")
	return command
}

func (c *cli) userImport() *cobra.Command {
	var ask api.Import
	command := &cobra.Command{
		Use:   "import FILE.csv",
		Short: "add and change the people of a CSV file, whose first line names columns: name, email, given_name, surname, display_name, profile, permission_sets, groups, disabled, attributes.NAME",
		Args:  exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			var err error
			if ask.CSV, err = readImport(args[0]); err != nil {
				return err
			}
			done, err := client.ImportUsers(command.Context(), ask)
			if err != nil {
				return err
			}
			for _, problem := range done.Errors {
				fmt.Fprintf(c.err, "line %d: %s\n", problem.Line, plain(problem.Text))
			}
			if n := len(done.Errors) + done.More; n > 0 {
				return fmt.Errorf("nothing of %s was changed, because of errors in it (%d): correct them and import it again", args[0], n)
			}
			return c.show(done, func() error { return c.imported(&done) })
		}),
	}
	command.Flags().BoolVar(&ask.DryRun, "dry-run", false, "change nothing, and tell what would change")
	return command
}

func (c *cli) imported(done *api.Imported) error {
	var rows [][]string
	for _, row := range done.Rows {
		rows = append(rows, []string{strconv.Itoa(row.Line), row.Action, row.Name, row.Email, row.Keys})
	}
	if len(rows) > 0 {
		if err := c.table([]string{"LINE", "ACTION", "NAME", "EMAIL", "COLUMNS"}, rows); err != nil {
			return err
		}
		fmt.Fprintln(c.out)
	}
	return c.facts("added", strconv.Itoa(done.Created), "changed", strconv.Itoa(done.Changed), "unchanged", strconv.Itoa(done.Unchanged),
		"disabled", strconv.Itoa(done.Disabled), "enabled", strconv.Itoa(done.Enabled))
}

// maxPeopleFile is how large a file of people may be, in bytes.
const maxPeopleFile = 16 << 20

// readImport reads a file of people, and refuses what JSON could not carry unchanged, with the line where it begins.
func readImport(name string) (string, error) {
	info, err := os.Stat(name)
	if err == nil && info.Size() > maxPeopleFile {
		return "", fmt.Errorf("%s is larger than %d MiB: import it in parts", name, maxPeopleFile>>20)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("cannot read the file: %w", err)
	}
	text := string(content)
	for at, r := range text {
		if _, size := utf8.DecodeRuneInString(text[at:]); r == utf8.RuneError && size == 1 {
			return "", fmt.Errorf("line %d of %s is not UTF-8: save the file as \"CSV UTF-8\", and try again", 1+strings.Count(text[:at], "\n"), name)
		}
	}
	return text, nil
}
