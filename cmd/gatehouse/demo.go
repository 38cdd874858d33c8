package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"gatehouse/cmd/sampleapps"
	"gatehouse/idp/api"
)

// demoPassword is the password of every sample person. The demo listens on loopback only.
const demoPassword = "gatehouse-demo"

// demoListen is where the demo listens unless told otherwise; when the port is taken it chooses a free one.
const demoListen = "127.0.0.1:8080"

func demoCommand() *cobra.Command {
	var listen, data string
	command := &cobra.Command{
		Use:   "demo",
		Short: "run everything on this machine, with sample people and apps, and print what to click",
		Args:  cobra.NoArgs,
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

// demoAddress refuses addresses that other machines reach, and finds a free port when the usual one is taken.
func demoAddress(listen string) (string, error) {
	if listen == "" {
		if isFree(demoListen) {
			return demoListen, nil
		}
		return "127.0.0.1:0", nil
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return "", usagef("--listen %q is no address: write it like %s", listen, demoListen)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", usagef("the demo has known passwords and so listens on this machine only: use --listen %s", demoListen)
	}
	return listen, nil
}

// furnish starts the sample apps, adds people and apps through the socket as an administrator would, and prints what to do.
func furnish(ctx context.Context, url, data string, out io.Writer) error {
	apps, err := startApps(ctx, url)
	if err != nil {
		return err
	}
	client := api.OverSocket(data)
	if err := addPeople(ctx, client); err != nil {
		return err
	}
	benefits, payroll, travel := apps.List()[0], apps.List()[1], apps.List()[2]
	if err := addApp(ctx, client, benefits, map[string]string{"policy.permitted_users": "all"}); err != nil {
		return err
	}
	managers := map[string]string{"policy.permitted_users": "preauthorized", "policy.profiles": "Employees", "policy.approvers": "ada"}
	if err := addApp(ctx, client, payroll, managers); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, demoGuide, url, demoPassword, benefits.SignInURL(), travel.EntityID(), url, data)
	if err == nil {
		_, err = fmt.Fprintln(out, "ready", url)
	}
	return err
}

// startApps starts the sample apps on ports that stay the same from run to run, where they are free.
func startApps(ctx context.Context, url string) (*sampleapps.Apps, error) {
	specs := sampleapps.Demo()
	for i := range specs {
		specs[i].Port = firstAppPort + i
	}
	return sampleapps.Start(ctx, sampleapps.Config{MetadataURL: url + "/saml/metadata", Apps: specs})
}

// firstAppPort is the port of the first sample app; the others follow.
const firstAppPort = 8081

func isFree(address string) bool {
	probe, err := net.Listen("tcp", address)
	return err == nil && probe.Close() == nil
}

const demoGuide = `
Gatehouse demo

  1. Open %s and sign in. Every password is %s
       ana   an employee: sees Your Benefits and Payroll Console
       ben   a contractor: sees Your Benefits only
       ada   the administrator: manages everything under "Console"
  2. Click a tile: you arrive in the app, signed in (IdP-initiated).
  3. Or open the app first: %s
     It sends you to sign in and takes you back (SP-initiated).
  4. As ada, connect a third app: Console > Apps > Add app, named Travel Desk, metadata URL
       %s
     Allow the profile Contractors, then look at ben's tiles again.
  5. As ben, choose "Ask for an app" in the menu and ask for Payroll Console; as ada, answer under "Requests for you".
  6. As ana, open both apps, then sign out of one: the other one is signed out too, and the page says so.
  7. The command line: bin/gatehouse app list --data DIR, with the folder below (make build makes it); the console is at %s/admin/

  Data: %s    Stop: Ctrl-C
`

type demoPerson struct{ name, display, given, surname, profile, group, role string }

func addPeople(ctx context.Context, client *api.Client) error {
	for _, name := range []string{"Employees", "Contractors", "Administrators"} {
		if _, err := client.AddNamed(ctx, "profiles", api.Named{Name: name}); present(err) != nil {
			return err
		}
	}
	for _, name := range []string{"Head office", "Field team"} {
		if _, err := client.AddNamed(ctx, "groups", api.Named{Name: name}); present(err) != nil {
			return err
		}
	}
	for _, p := range []demoPerson{
		{"ana", "Ana Almeida", "Ana", "Almeida", "Employees", "Head office", ""},
		{"ben", "Ben Brandt", "Ben", "Brandt", "Contractors", "Field team", ""},
		{"ada", "Ada Lindqvist", "Ada", "Lindqvist", "Administrators", "Head office", "owner"},
	} {
		if err := addPerson(ctx, client, p); err != nil {
			return err
		}
	}
	return nil
}

func addPerson(ctx context.Context, client *api.Client, p demoPerson) error {
	user := api.NewUser{
		Name: p.name, Email: p.name + "@example.org", DisplayName: p.display, GivenName: p.given, Surname: p.surname,
		Password: demoPassword, Profile: p.profile, Groups: []string{p.group},
	}
	if p.role != "" {
		user.Roles = []string{p.role}
	}
	_, err := client.AddUser(ctx, user)
	return present(err)
}

// addApp connects a sample app, or refreshes the one of an earlier run in the same folder.
func addApp(ctx context.Context, client *api.Client, app *sampleapps.App, policy map[string]string) error {
	policy["start_url"], policy["description"] = app.SignInURL(), app.Description()
	_, err := client.AddApp(ctx, api.NewApp{
		Metadata: string(app.Metadata()), Name: app.Name(), Set: policy, Replace: true,
	})
	return err
}

// present ignores that something was added by an earlier run.
func present(err error) error {
	var refused *api.Error
	if errors.As(err, &refused) && strings.HasPrefix(refused.Reason, "exists") {
		return nil
	}
	return err
}
