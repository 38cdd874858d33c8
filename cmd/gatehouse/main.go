// Command gatehouse is the identity provider and the command line that manages it: `serve` and `demo` run a server, every
// other command is a client of a running one, over the unix socket in its data directory or over https with a token.
//
// The environment, flags and files are read here and nowhere else. Answers go to stdout; errors go to stderr as one sentence
// that says what to do, with exit code 1 for a refused action and 2 for wrong usage. Read root.go, then a file per command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	_ "time/tzdata" // login hours name time zones, which a bare machine may not have
)

func main() { os.Exit(gatehouse()) }

// gatehouse is the program as the shell runs it.
func gatehouse() int {
	return run(context.Background(), os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}, os.LookupEnv)
}

// streams are the program's standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Exit codes.
const (
	exitOK = iota
	exitRefused
	exitUsage
)

// run is the program as a function.
func run(ctx context.Context, args []string, std streams, env func(string) (string, bool)) int {
	root, started := rootCommand(std, env)
	root.SetArgs(args)
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var usage *usageError
	wrong := errors.As(err, &usage)
	text := oneLine(err.Error())
	if !wrong && !*started { // cobra refused the words before any command ran
		wrong, text = true, text+pointer(command, err)
	}
	fmt.Fprintln(std.err, "gatehouse:", text)
	if wrong {
		return exitUsage
	}
	return exitRefused
}

// usageError is a mistake in how a command was written.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
