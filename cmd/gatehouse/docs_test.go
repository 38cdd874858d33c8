package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandsOfTheOAuthPage: what docs/oauth.md shows works as it stands, from its first line on, with a Gatehouse that is new.
func TestCommandsOfTheOAuthPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "oauth.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	serving, stopServer := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- serve(serving, serveOptions{data: filepath.Join(dir, "data"), listen: "127.0.0.1:0", privateListen: "off"}, io.Discard, func(url string) { ready <- url })
	}()
	defer func() { stopServer(); <-ended }()
	<-ready
	lines := shownCommands(string(page))
	if len(lines) < 20 {
		t.Fatalf("the page shows %d commands", len(lines))
	}
	shell := exec.CommandContext(t.Context(), "sh", "-e", "-x")
	shell.Dir, shell.Stdin = dir, strings.NewReader(strings.Join(lines, "\n"))
	shell.Env = append(os.Environ(), "GATEHOUSE_DATA="+filepath.Join(dir, "data"))
	if said, err := shell.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

// shownCommands are the commands of the page that need nobody elsewhere: no provider, no client that publishes a document, no other
// organisation.
func shownCommands(page string) []string {
	var lines []string
	for i, block := range strings.Split(page, "\n```") {
		if i%2 == 0 || strings.Contains(block, "bin/gatehouse upstream") {
			continue
		}
		for line := range strings.SplitSeq(block, "\n") {
			elsewhere := strings.Contains(line, "notes.example.org") || strings.Contains(line, "orders.xml") || strings.Contains(line, "# there")
			command, isOurs := strings.CutPrefix(line, "bin/")
			if !elsewhere && (isOurs || strings.HasPrefix(line, "echo ")) {
				lines = append(lines, command)
			}
		}
	}
	return lines
}
