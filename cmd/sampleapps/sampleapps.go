// Package sampleapps runs small relying apps on loopback listeners, for `gatehouse demo` and for the tests: apps that a
// person can open, sign in to and out of, and that show what the identity provider said about them.
//
// It must not import Gatehouse's own packages: a sample app sees only what any relying app sees (metadata and messages).
// Read sampleapps.go for the life of the listeners, saml.go for a SAML app, page.html for what people see.
package sampleapps

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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
}

// Spec describes one SAML app.
type Spec struct {
	Name         string // shown on its pages
	Description  string // one sentence
	Port         int    // of localhost; zero, or one that is taken, means any free port
	Accent       string // CSS colour of its pages
	NameIDFormat string // asked for in each request; empty means persistent
	Plain        bool   // publish no encryption key
	Unsigned     bool   // do not sign requests
}

// Demo returns the apps of `gatehouse demo`: one for everybody, one meant for a single profile, and one that the sample
// administrator connects.
func Demo() []Spec {
	return []Spec{
		{Name: "Your Benefits", Description: "Health, pension and days off in one place.", Accent: "#0f766e"},
		{Name: "Payroll Console", Description: "Salaries, for the people who run them.", Accent: "#9a3412",
			NameIDFormat: emailAddress},
		{Name: "Travel Desk", Description: "Trips and expenses. Not connected yet: that is for you to do.", Accent: "#4338ca"},
	}
}

// Apps are running sample apps. Close stops them.
type Apps struct {
	list    []*App
	servers []*http.Server
}

// Start starts the apps of cfg; they stop when ctx ends or Close is called. It answers once every app listens.
func Start(ctx context.Context, cfg Config) (*Apps, error) {
	if cfg.MetadataURL == "" && len(cfg.Metadata) == 0 {
		return nil, errors.New("sample apps: give the identity provider's metadata or the URL that serves it")
	}
	specs := cfg.Apps
	if specs == nil {
		specs = Demo()
	}
	apps := &Apps{}
	for _, spec := range specs {
		if err := apps.start(cfg, spec); err != nil {
			apps.Close()
			return nil, fmt.Errorf("sample app %q: %w", spec.Name, err)
		}
	}
	context.AfterFunc(ctx, apps.Close)
	return apps, nil
}

// start makes one app and serves it.
func (a *Apps) start(cfg Config, spec Spec) error {
	listener, err := listen(spec.Port)
	if err != nil {
		return err
	}
	base := fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	app, err := newApp(cfg, spec, base)
	if err != nil {
		listener.Close()
		return err
	}
	server := &http.Server{Handler: app.handler(), ReadHeaderTimeout: 10 * time.Second}
	a.list = append(a.list, app)
	a.servers = append(a.servers, server)
	go server.Serve(listener) // ends with ErrServerClosed at Close
	return nil
}

// listen takes a port of localhost, or a free one when it is taken.
func listen(port int) (net.Listener, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return net.Listen("tcp", "localhost:0")
	}
	return listener, err
}

// List returns the apps in the order of the Config.
func (a *Apps) List() []*App { return a.list }

// Close stops all apps at once. It may be called more than once.
func (a *Apps) Close() {
	for _, server := range a.servers {
		server.Close()
	}
}
