// Package sampleapps runs small relying apps on loopback listeners, for `gatehouse demo` and for the tests: apps that a
// person can open, sign in to and out of, and that show what the identity provider said about them and about their tokens.
//
// It must not import Gatehouse's own packages: a sample app sees only what any relying app sees (metadata, discovery and messages).
// Read sampleapps.go for the life of the listeners, saml.go for a SAML app, client.go for an OAuth client, page.html and
// client.html for what people see.
package sampleapps

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// Config says which apps to start and where their identity provider is.
type Config struct {
	// MetadataURL is where the identity provider's SAML metadata is fetched each time an app needs it, so that it may
	// start later than the apps and may change its keys.
	MetadataURL string
	// Metadata replaces MetadataURL when it is set.
	Metadata []byte
	// Apps are started in this order; nil means Demo().
	Apps []Spec

	// Issuer is the OpenID provider of Clients, whose discovery document is read at each sign-in.
	Issuer string
	// Clients are the OAuth clients, started after the Apps.
	Clients []ClientSpec

	// Host is the name in the apps' addresses, localhost (the default) or 127.0.0.1. To a browser the two are different sites.
	Host string
	// Keep is a file for ports, keys and secrets, readable by its owner alone. With it an app is the same after a restart.
	// Empty: they last as long as the apps run.
	Keep string
}

// Spec describes one SAML app.
type Spec struct {
	Name         string // shown on its pages
	Description  string // one sentence
	Port         int    // of the host; zero means any free port, one that is taken another one
	Accent       string // CSS colour of its pages
	NameIDFormat string // asked for in each request; empty means persistent
	Plain        bool   // publish no encryption key
	Unsigned     bool   // do not sign requests
}

// Demo returns the SAML apps of `gatehouse demo`: one for everybody, one meant for a single profile, and one that the sample
// administrator connects.
func Demo() []Spec {
	return []Spec{
		{Name: "Your Benefits", Description: "Health, pension and days off in one place.", Accent: "#0f766e"},
		{Name: "Payroll Console", Description: "Salaries, for the people who run them.", Accent: "#9a3412",
			NameIDFormat: emailAddress},
		{Name: "Room Booking", Description: "Desks and rooms. Not connected yet: that is for you to do.", Accent: "#4338ca"},
	}
}

// Apps are running sample apps. Close stops them.
type Apps struct {
	list    []*App
	clients []*Client
	servers []*http.Server
}

// Start starts the apps of cfg; they stop when ctx ends or Close is called. It answers once every app listens.
func Start(ctx context.Context, cfg Config) (*Apps, error) {
	if cfg.MetadataURL == "" && len(cfg.Metadata) == 0 {
		return nil, errors.New("sample apps: give the identity provider's metadata or the URL that serves it")
	}
	if cfg.Host == "" {
		cfg.Host = "localhost"
	}
	if cfg.Apps == nil {
		cfg.Apps = Demo()
	}
	memory, err := openKeep(cfg.Keep)
	if err != nil {
		return nil, err
	}
	apps := &Apps{}
	if err := apps.startAll(cfg, memory); err != nil {
		apps.Close()
		return nil, err
	}
	context.AfterFunc(ctx, apps.Close)
	return apps, nil
}

func (a *Apps) startAll(cfg Config, memory *keep) error {
	for _, spec := range cfg.Apps {
		if err := a.start(cfg, memory, spec.Name, spec.Port, func(base string) (http.Handler, error) {
			app, err := newApp(cfg, memory, spec, base)
			if err != nil {
				return nil, err
			}
			a.list = append(a.list, app)
			return app.handler(), nil
		}); err != nil {
			return err
		}
	}
	for _, spec := range cfg.Clients {
		if err := a.start(cfg, memory, spec.Name, spec.Port, func(base string) (http.Handler, error) {
			client, err := newClient(cfg, memory, spec, base)
			if err != nil {
				return nil, err
			}
			a.clients = append(a.clients, client)
			return client.handler(), nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// start serves one app that is made for the address it gets.
func (a *Apps) start(cfg Config, memory *keep, name string, port int, make func(base string) (http.Handler, error)) error {
	listener, err := listen(cfg.Host, memory.of(name).Port, port)
	if err != nil {
		return fmt.Errorf("sample app %q: %w", name, err)
	}
	port = listener.Addr().(*net.TCPAddr).Port
	err = memory.change(name, func(one *kept) { one.Port = port })
	var handler http.Handler
	if err == nil {
		handler, err = make(fmt.Sprintf("http://%s:%d", cfg.Host, port))
	}
	if err != nil {
		listener.Close()
		return fmt.Errorf("sample app %q: %w", name, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	a.servers = append(a.servers, server)
	go server.Serve(listener) // ends with ErrServerClosed at Close
	return nil
}

// stride is how far an app looks for another port, so that a second demo's apps are in the order of the first one's.
const stride = 20

// listen takes the port of an earlier run, which the identity provider knows; else the port that was asked for, or another one
// where it is taken.
func listen(host string, before, port int) (net.Listener, error) {
	on := func(port int) (net.Listener, error) {
		return net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	}
	if before != 0 {
		listener, err := on(before)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("its port %d is taken, perhaps by another demo: stop what uses it, or use another data folder", before)
		}
		return listener, err
	}
	for next := port; next > 0 && next < port+10*stride; next += stride {
		if listener, err := on(next); !errors.Is(err, syscall.EADDRINUSE) {
			return listener, err
		}
	}
	return on(0)
}

// List returns the SAML apps in the order of the Config.
func (a *Apps) List() []*App { return a.list }

// Clients returns the OAuth clients in the order of the Config.
func (a *Apps) Clients() []*Client { return a.clients }

// Close stops all apps at once. It may be called more than once.
func (a *Apps) Close() {
	for _, client := range a.clients {
		client.close()
	}
	for _, server := range a.servers {
		server.Close()
	}
}
