package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// passwordFlag adds --password-stdin: a password never stands in a flag, where every process on the machine can read it.
func passwordFlag(command *cobra.Command, stdin *bool) {
	command.Flags().BoolVar(stdin, "password-stdin", false, "read the password from stdin")
}

// password reads a password from stdin when asked to, else asks for it on a terminal. Where there is no terminal it is empty,
// or when it is required an error.
func (c *cli) password(stdin, required bool) (string, error) {
	if stdin {
		content, err := readAll(c.in, "stdin")
		if err != nil {
			return "", err
		}
		password := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
		if password == "" {
			return "", usagef("stdin holds no password: pipe it into the command")
		}
		return password, nil
	}
	file, ok := c.in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		if required {
			return "", usagef("there is no terminal to ask for the password: pipe it in and give --password-stdin")
		}
		return "", nil
	}
	return c.prompt(file, required)
}

func (c *cli) prompt(terminal *os.File, required bool) (string, error) {
	question := "Password (empty: none yet): "
	if required {
		question = "New password: "
	}
	first, err := c.hidden(terminal, question)
	if err != nil || first == "" && !required {
		return first, err
	}
	second, err := c.hidden(terminal, "The same again: ")
	if err == nil && first != second {
		err = usagef("the two passwords are not the same: try again")
	}
	return first, err
}

func (c *cli) hidden(terminal *os.File, question string) (string, error) {
	fmt.Fprint(c.err, question)
	typed, err := term.ReadPassword(int(terminal.Fd()))
	fmt.Fprintln(c.err)
	return string(typed), err
}
