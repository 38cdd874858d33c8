package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gatehouse": func() { os.Exit(gatehouse()) }})
}

// TestScripts runs the command line against a real server, one per script. The scripts show each command and what it says.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: filepath.Join("..", "..", "testdata", "cli"), Setup: startServer,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ask": askInPortal, "token": useToken}})
}

// startServer runs a server on the folder data of the script, and a service provider's web server at $METADATA_URL.
func startServer(env *testscript.Env) error {
	dir := filepath.Join(env.WorkDir, "data")
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	options := serveOptions{data: dir, listen: "127.0.0.1:0", privateListen: "off", fetch: []string{"127.0.0.0/8"}}
	go func() { ended <- serve(ctx, options, io.Discard, func(url string) { ready <- url }) }()
	select {
	case err := <-ended:
		stop()
		return err
	case url := <-ready:
		env.Setenv("BASE_URL", url)
	}
	files := httptest.NewServer(http.FileServer(http.Dir(env.WorkDir)))
	env.Defer(func() {
		files.Close()
		stop()
		if err := <-ended; err != nil {
			env.T().Log(err)
			env.T().FailNow()
		}
	})
	env.Setenv("GATEHOUSE_DATA", dir)
	env.Setenv("METADATA_URL", files.URL)
	fixtures, err := filepath.Abs(filepath.Join("..", "..", "testdata"))
	env.Setenv("TESTDATA", fixtures)
	return err
}

// useToken puts the secret that a file holds where the command line looks for it.
func useToken(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("GATEHOUSE_TOKEN", strings.TrimSpace(ts.ReadFile(args[0])))
}

// command runs the program in this process.
func command(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, streams{strings.NewReader(""), &out, &errs}, func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	return code, out.String(), errs.String()
}

func TestWrongUsageIsOneSentence(t *testing.T) {
	for _, c := range []struct{ words, want string }{
		{"", "gatehouse needs a command: choose app, audit,"},
		{"frob", `gatehouse has no command "frob"`},
		{"app", "gatehouse app needs a command: choose add,"},
		{"app frob", `gatehouse app has no command "frob"`},
		{"app show", "write it like this: gatehouse app show APP"},
		{"app show a b", "write it like this: gatehouse app show APP"},
		{"app list --nope", "unknown flag: --nope: see `gatehouse app list --help`"},
		{"app add --metdata x", "unknown flag: --metdata: did you mean --metadata? See `gatehouse app add --help`"},
		{"user add ana --permission x", "did you mean --permission-set? See `gatehouse user add --help`"},
		{"app list -x", "see `gatehouse app list --help`"},
		{"app add --oauth", "flag needs an argument: --oauth: see `gatehouse app add --help`"},
		{"source test --data d", "write it like this: gatehouse source test NAME [USER]"},
		{"serve here", "write it like this: gatehouse serve"},
		{"app list", "say which server: --data DIR"},
		{"app list --data d --server https://x", "give --data or --server, not both"},
		{"app list --server https://x.example", "--server needs a token"},
		{"app list --server http://x.example --token t", "must begin with https://"},
		{"app list --data d --output xml", "--output is text or json"},
		{"app add --data d", "an OAuth client's with --oauth FILE"},
		{"app add --data d --metadata x --acs y", "leave out --entity-id and --acs"},
		{"app set --data d x y", `"y" is not KEY=VALUE`},
		{"app set --data d x a=1 a=2", "a is set twice"},
		{"user reset-password ana --data d", "give --password-stdin"},
		{"user add ana --data d --password secret", "unknown flag: --password"},
		{"session end --data d", "say which sessions to end"},
		{"request approve --data d x --for 7d --until 2027-01-31", "give --for or --until, not both"},
		{"request approve --data d x --until soon", "is not a time"},
		{"grant revoke --data d --user ana", "say which grant ends by its ID"},
		{"audit list --data d --since yesterday", "is not a time or a period"},
		{"explain a b --data d --at noon", "is not a time"},
		{"serve", "serve needs --data DIR"},
		{"serve --data d --base-url http://id.example.org", "plain http"},
		{"metadata a b --data d", "write it like this: gatehouse metadata [APP]"},
	} {
		t.Run(c.words, func(t *testing.T) {
			code, out, errs := command(t, nil, strings.Fields(c.words)...)
			if code != exitUsage || out != "" || !strings.HasPrefix(errs, "gatehouse: ") || !strings.Contains(errs, c.want) || strings.Count(errs, "\n") != 1 {
				t.Errorf("exit %d\n%s%s", code, out, errs)
			}
		})
	}
}

func TestEmptyArguments(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"trace", ""}, "gatehouse trace CODE"}, {[]string{"app", "show", " "}, "gatehouse app show APP"}, {[]string{"app", "set", "x", ""}, "gatehouse app set APP"},
		{[]string{"metadata", ""}, "gatehouse metadata [APP]"},
	} {
		code, out, errs := command(t, nil, append(c.words, "--data", t.TempDir())...)
		if code != exitUsage || out != "" || !strings.Contains(errs, "an argument is empty: write it like this: "+c.want) {
			t.Errorf("%q: exit %d\n%s%s", c.words, code, out, errs)
		}
	}
}

func TestEnvironmentMirrorsFlags(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"GATEHOUSE_DATA": dir}
	if code, _, errs := command(t, env, "app", "list"); code != exitRefused || !strings.Contains(errs, "no Gatehouse runs with --data "+dir) {
		t.Errorf("exit %d: %s", code, errs)
	}
	other := t.TempDir()
	if code, _, errs := command(t, env, "app", "list", "--data", other); code != exitRefused || !strings.Contains(errs, "--data "+other) {
		t.Errorf("a flag must win: exit %d: %s", code, errs)
	}
	env = map[string]string{"GATEHOUSE_REPLACE": "perhaps", "GATEHOUSE_DATA": dir}
	if code, _, errs := command(t, env, "app", "add"); code != exitUsage || !strings.Contains(errs, "GATEHOUSE_REPLACE") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestHelp(t *testing.T) {
	code, out, errs := command(t, nil, "--help")
	if code != exitOK || errs != "" || !strings.Contains(out, "Available Commands") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

func TestParseMoment(t *testing.T) {
	base := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                     {},
		"24h":                  base.Add(-24 * time.Hour),
		"7d":                   base.AddDate(0, 0, -7),
		"1d12h":                base.Add(-36 * time.Hour),
		"90m":                  base.Add(-90 * time.Minute),
		"2027-01-30":           time.Date(2027, 1, 30, 0, 0, 0, 0, time.UTC),
		"2027-01-30T18:00:00Z": time.Date(2027, 1, 30, 18, 0, 0, 0, time.UTC),
	} {
		if got, err := parseMoment("--since", text, base); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"yesterday", "-1h", "-2d", "7", "d", "1d-2h"} {
		if got, err := parseMoment("--since", text, base); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestPlainKeepsTheTerminal(t *testing.T) {
	if got := plain("a\x1b[31mb\nc\td\u009be\x7f é"); got != "a [31mb c d e  é" {
		t.Errorf("%q", got)
	}
	if got := plain("Pay\u202egpj\u2069 \u200bOrders\ufeff \u2028x ü 💶"); got != "Pay<U+202E>gpj<U+2069> <U+200B>Orders<U+FEFF> <U+2028>x ü 💶" || plain(got) != got {
		t.Errorf("%q", got)
	}
}
