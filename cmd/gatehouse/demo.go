package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

// demoPassword is the password of every sample person. The demo listens on loopback only.
const demoPassword = "gatehouse-demo"

// demoListen is where the demo listens unless told otherwise; when the port is taken it chooses a free one.
const (
	demoPort   = "8080"
	demoListen = "127.0.0.1:" + demoPort
)

func demoCommand() *cobra.Command {
	var listen, data string
	command := &cobra.Command{
		Use:   "demo",
		Short: "run everything on this machine, with sample people and apps, and print what to click",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return demo(ctx, listen, data, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	command.Flags().StringVar(&listen, "listen", "", "loopback address and port; default: "+demoListen+", or a free port if that is taken")
	command.Flags().StringVar(&data, "data", "", "a folder to keep the demo in; default: a new one that is removed at the end")
	return command
}

// demo serves with sample people and apps until the context ends.
func demo(ctx context.Context, listen, data string, out, logs io.Writer) error {
	if data == "" {
		dir, err := os.MkdirTemp("", "gatehouse-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		data = dir
	}
	listen, err := demoAddress(listen)
	if err != nil {
		return err
	}
	if err := demoFolder(data); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready, ended := make(chan string, 1), make(chan error, 1)
	options := serveOptions{data: data, listen: listen, privateListen: "off", furnished: true, fetch: []string{"127.0.0.0/8", "::1/128"}}
	go func() { ended <- serve(ctx, options, logs, func(url string) { ready <- url }) }()
	select {
	case err := <-ended:
		return err
	case url := <-ready:
		if err := furnish(ctx, url, data, out); err != nil {
			stop()
			return errors.Join(err, <-ended)
		}
	}
	return <-ended
}

// keptApps is the file of a demo's folder that the sample apps keep their keys in. Its presence tells that people in there have the
// demo's password.
const keptApps = "sampleapps.json"

// demoFolder refuses a folder of a Gatehouse that is no demo: it would get an owner whose password everybody knows.
func demoFolder(data string) error {
	_, noDatabase := os.Stat(serveOptions{data: data}.database())
	if _, noDemo := os.Stat(filepath.Join(data, keptApps)); noDatabase == nil && errors.Is(noDemo, fs.ErrNotExist) {
		return usagef("%s holds a Gatehouse that is no demo, and sample people with a known password would be added to it: give the demo a folder of its own", data)
	}
	return nil
}

// isFree tells whether nobody listens on the port, also at the other address of localhost, where a browser would find them.
func isFree(port string) bool {
	for _, host := range []string{"127.0.0.1", "::1"} {
		probe, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if errors.Is(err, syscall.EADDRINUSE) {
			return false
		}
		if err == nil {
			probe.Close()
		}
	}
	return true
}

// demoAddress refuses addresses that other machines reach, and finds a free port when the usual one is taken.
func demoAddress(listen string) (string, error) {
	if listen == "" {
		if isFree(demoPort) {
			return demoListen, nil
		}
		return "127.0.0.1:0", nil
	}
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return "", usagef("--listen %q is no address: write it like %s", listen, demoListen)
	}
	if !onLoopback(listen) {
		return "", usagef("the demo has known passwords and so listens on this machine only: use --listen %s", demoListen)
	}
	return listen, nil
}

// onLoopback tells whether an address with a port is one that other machines do not reach.
func onLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
