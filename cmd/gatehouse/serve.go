package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"gatehouse/certs"
	"gatehouse/idp"
	"gatehouse/idp/api"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

// serveOptions are the flags of `gatehouse serve`.
type serveOptions struct {
	data, listen, baseURL, privateListen string
	tlsCert, tlsKey                      string
	mtlsListen, mtlsURL                  string
	certHeader, clientCA                 string
	proxies, fetch                       []string
	breached                             string
	verbose, furnished                   bool // furnished: the caller makes the first owner
}

func serveCommand() *cobra.Command {
	var o serveOptions
	command := &cobra.Command{
		Use:   "serve --data DIR --listen ADDR --base-url URL",
		Short: "run the identity provider",
		Args:  exactly(0),
		Example: examples("serve --data /var/lib/gatehouse --base-url https://id.example.org --trusted-proxy 127.0.0.1/32",
			"serve --data /var/lib/gatehouse --listen 0.0.0.0:443 --base-url https://id.example.org --tls-cert id.pem --tls-key id.key --mtls-listen 0.0.0.0:8443 --client-ca clients.pem"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return serve(ctx, o, cmd.ErrOrStderr(), func(url string) { fmt.Fprintln(cmd.OutOrStdout(), "ready", url) })
		},
	}
	f := command.Flags()
	f.StringVar(&o.data, "data", "", "the folder that holds everything; made if it is absent")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address and port to listen on")
	f.StringVar(&o.baseURL, "base-url", "", "the public address, such as https://id.example.org; default: http://, or with --tls-cert https://, and the listen address")
	f.StringVar(&o.tlsCert, "tls-cert", "", "certificate file, PEM; without it Gatehouse speaks plain http (behind a proxy, or on loopback)")
	f.StringVar(&o.tlsKey, "tls-key", "", "key file for --tls-cert, PEM")
	f.StringVar(&o.privateListen, "private-listen", "127.0.0.1:0", "address for health and profiles, or off")
	f.StringSliceVar(&o.proxies, "trusted-proxy", nil, "CIDR range of reverse proxies whose X-Forwarded-For is believed; may be repeated")
	f.StringSliceVar(&o.fetch, "allow-fetch", nil, "CIDR range of private addresses that may be called, for metadata, keys and sign-outs; may be repeated")
	f.StringVar(&o.mtlsListen, "mtls-listen", "", "address and port for apps that show a client certificate; browsers are asked for none elsewhere; needs --tls-cert")
	f.StringVar(&o.mtlsURL, "mtls-url", "", "the public address of --mtls-listen, or the one where a proxy asks for certificates; default: the host of the base URL and the port of --mtls-listen")
	f.StringVar(&o.certHeader, "client-cert-header", "", "header in which a --trusted-proxy tells the certificate of its client, such as Client-Cert (RFC 9440, or PEM escaped as in URLs); ignored from anybody else")
	f.StringVar(&o.clientCA, "client-ca", "", "file of the authorities whose client certificates count for tls_client_auth, PEM")
	f.StringVar(&o.breached, "breached-passwords", "", "file of passwords that nobody may choose: sorted SHA-1 hashes, or passwords, one a line")
	f.BoolVar(&o.verbose, "verbose", false, "log every request")
	return command
}

// serve opens the data folder, runs the server until the context ends and calls ready with its URL once it answers.
func serve(ctx context.Context, o serveOptions, logs io.Writer, ready func(url string)) (err error) {
	config, closeAll, err := o.open(ctx, logs)
	defer func() { err = errors.Join(err, closeAll()) }()
	if err != nil {
		return err
	}
	server, err := idp.New(ctx, config)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if !o.furnished {
		if err := printSetUpLink(ctx, server, logs); err != nil {
			return err
		}
	}
	ready(config.BaseURL)
	return server.Run(ctx)
}

// printSetUpLink shows the way in to a Gatehouse that nobody owns yet. It stops nobody from using it as it is.
func printSetUpLink(ctx context.Context, server *idp.Server, logs io.Writer) error {
	address, expires, err := server.SetUpLink(ctx)
	if err != nil || address == "" {
		return err
	}
	_, err = fmt.Fprintf(logs, "Nobody owns this Gatehouse yet. Become the first owner with this link, which works once, until %s:\n  %s\n",
		expires.UTC().Format("2 January 2006, 15:04 MST"), address)
	return err
}

// gcPercent trades memory for processor time: the live heap is a few MiB, so collecting at four times its size costs little
// memory and saves a twentieth of the work of a sign-on.
const gcPercent = 300

// open turns flags into a Config: the folder, the store, the sealing key and the listeners. The returned function closes
// whatever was opened, also after an error.
func (o serveOptions) open(ctx context.Context, logs io.Writer) (config idp.Config, closeAll func() error, err error) {
	var opened []io.Closer
	closeAll = func() error {
		var failed []error
		for i := len(opened) - 1; i >= 0; i-- {
			if err := opened[i].Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				failed = append(failed, err)
			}
		}
		return errors.Join(failed...)
	}
	if err := o.check(); err != nil {
		return config, closeAll, err
	}
	if config, err = o.config(logs); err != nil {
		return config, closeAll, err
	}
	keep := func(c io.Closer, err error) error {
		if err == nil {
			opened = append(opened, c)
		}
		return err
	}
	if err := errors.Join(o.mustBelongTogether(), o.mustBeNoDemo()); err != nil {
		return config, closeAll, err
	}
	database, err := bolt.Open(o.database(), bolt.Options{})
	if err := keep(database, err); errors.Is(err, fs.ErrPermission) {
		return config, closeAll, fmt.Errorf("%w: whoever runs Gatehouse must own the data folder", err)
	} else if err != nil {
		return config, closeAll, err
	}
	go checkFile(ctx, database, config.Log)
	config.Store = database
	if config.Sealer, err = certs.Unlock(ctx, database, o.sealKey()); err != nil {
		return config, closeAll, err
	}
	if config.Listener, err = net.Listen("tcp", o.listen); keep(config.Listener, err) != nil {
		return config, closeAll, fmt.Errorf("cannot listen on %s: %w: choose another --listen address", o.listen, err)
	}
	if o.mtlsListen != "" {
		if config.MTLS.Listener, err = net.Listen("tcp", o.mtlsListen); keep(config.MTLS.Listener, err) != nil {
			return config, closeAll, fmt.Errorf("cannot listen on %s: %w: choose another --mtls-listen address", o.mtlsListen, err)
		}
	}
	if o.privateListen != "off" {
		if config.Private, err = net.Listen("tcp", o.privateListen); keep(config.Private, err) != nil {
			return config, closeAll, fmt.Errorf("cannot listen on %s: %w: choose another --private-listen address, or off", o.privateListen, err)
		}
	}
	config.Socket, err = api.Listen(o.data)
	if keep(config.Socket, err) == nil && config.BaseURL == "" {
		config.BaseURL = o.listenURL(config.Listener.Addr())
	}
	if config.MTLS.Listener != nil && config.MTLS.URL == "" {
		config.MTLS.URL = besides(config.BaseURL, config.MTLS.Listener.Addr())
	}
	return config, closeAll, err
}

// listenURL is where people on this machine find the listener. The demo has a name, so that passkeys work; localhost leads to
// 127.0.0.1 and ::1 alone.
func (o serveOptions) listenURL(listener net.Addr) string {
	address, err := netip.ParseAddrPort(listener.String())
	if err == nil && o.furnished && (address.Addr() == netip.IPv6Loopback() || address.Addr() == netip.AddrFrom4([4]byte{127, 0, 0, 1})) {
		return fmt.Sprintf("http://localhost:%d", address.Port())
	}
	if o.tlsCert != "" {
		return "https://" + listener.String()
	}
	return "http://" + listener.String()
}

func (o serveOptions) database() string { return filepath.Join(o.data, "gatehouse.db") }
func (o serveOptions) sealKey() string  { return filepath.Join(o.data, "seal.key") }

// mustBelongTogether refuses a folder that lost its database: a new, empty one would be a stranger to every app.
func (o serveOptions) mustBelongTogether() error {
	_, noKey := os.Stat(o.sealKey())
	_, noDatabase := os.Stat(o.database())
	if noKey == nil && errors.Is(noDatabase, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing although its sealing key is there: put the database back from a backup, or remove seal.key to begin anew", o.database())
	}
	return nil
}

// mustBeNoDemo keeps the sample people, whose password everybody knows, from whoever is at another machine.
func (o serveOptions) mustBeNoDemo() error {
	base, err := url.Parse(o.baseURL)
	here := onLoopback(o.listen) && (o.mtlsListen == "" || onLoopback(o.mtlsListen)) && err == nil && (base.Host == "" || onLoopback(net.JoinHostPort(base.Hostname(), "0")))
	if _, err := os.Stat(filepath.Join(o.data, keptApps)); err == nil && !here {
		return fmt.Errorf("%s is the folder of a demo, whose sample people have a known password: serve it on this machine only, or begin with a new folder", o.data)
	}
	return nil
}

// checkFile reads the whole file beside the running server and logs damage, so that an administrator hears of it before a
// person does.
func checkFile(ctx context.Context, database *bolt.Store, log *slog.Logger) {
	if err := database.Check(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
		log.Error("the database is damaged: stop, and restore the last backup", "error", err)
	}
}

func (o serveOptions) check() error {
	switch {
	case o.data == "":
		return usagef("serve needs --data DIR: the folder that holds everything")
	case (o.tlsCert == "") != (o.tlsKey == ""):
		return usagef("--tls-cert and --tls-key go together: give both or neither")
	case o.mtlsListen != "" && o.tlsCert == "":
		return usagef("--mtls-listen needs --tls-cert and --tls-key: certificates are shown over TLS")
	case o.certHeader != "" && len(o.proxies) == 0:
		return usagef("--client-cert-header needs --trusted-proxy: the header counts from there alone")
	case (o.clientCA != "" || o.mtlsURL != "") && o.mtlsListen == "" && o.certHeader == "":
		return usagef("--client-ca and --mtls-url need --mtls-listen, or --client-cert-header behind a proxy")
	}
	if o.baseURL != "" {
		if err := idp.CheckBaseURL(strings.TrimSuffix(o.baseURL, "/")); err != nil {
			return usagef("%v", err)
		}
	}
	if host, port, err := net.SplitHostPort(o.listen); err != nil {
		return usagef("--listen %q is no address: write it like 127.0.0.1:8080", o.listen)
	} else if ip, err := netip.ParseAddr(host); o.baseURL == "" && (host == "" || err == nil && ip.IsUnspecified()) {
		return usagef("--listen %s takes calls from everywhere: say with --base-url which address people open, such as https://id.example.org (behind a proxy), or listen on 127.0.0.1:%s", o.listen, port)
	}
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return fmt.Errorf("cannot make the data folder: %w", err)
	}
	return nil
}

func (o serveOptions) config(logs io.Writer) (idp.Config, error) {
	level := slog.LevelInfo
	switch {
	case o.verbose:
		level = slog.LevelDebug
	case o.furnished: // the demo: what it prints is for people
		level = slog.LevelWarn
	}
	config := idp.Config{
		BaseURL: o.baseURL, TLSCert: o.tlsCert, TLSKey: o.tlsKey, Breached: o.breached,
		Log: slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: level})),
	}
	var err error
	if config.Proxies, err = prefixes("--trusted-proxy", o.proxies); err != nil {
		return config, err
	}
	if config.Fetch, err = prefixes("--allow-fetch", o.fetch); err != nil {
		return config, err
	}
	config.MTLS = idp.MTLS{TLSCert: o.tlsCert, TLSKey: o.tlsKey, URL: o.mtlsURL, Header: o.certHeader}
	config.MTLS.Authorities, err = authorities(o.clientCA)
	return config, err
}

// authorities reads certificates of a PEM file; nil: there is no file.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usagef("--client-ca cannot be read: %v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, usagef("--client-ca %s holds no certificate in PEM", file)
	}
	return pool, nil
}

// besides is the address of another port of the base URL's host.
func besides(base string, listener net.Addr) string {
	u, err := url.Parse(base)
	_, port, wrong := net.SplitHostPort(listener.String())
	if err != nil || wrong != nil {
		return ""
	}
	return "https://" + net.JoinHostPort(u.Hostname(), port)
}

func prefixes(flag string, values []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, value := range values {
		prefix, err := netip.ParsePrefix(value)
		if err != nil {
			return nil, usagef("%s %q is no CIDR range: write it like 10.0.0.0/8", flag, value)
		}
		all = append(all, prefix.Masked())
	}
	return all, nil
}
