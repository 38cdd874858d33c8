package idp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/saml"
	"gatehouse/idp/session"
	"gatehouse/idp/upstream"
	"gatehouse/sp"
	"gatehouse/store"
)

// Bounds of a connection: slow clients are cut off, keep-alive connections live for two minutes.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 2 * time.Minute
	shutdownGrace = 10 * time.Second
	maxHeader     = 64 << 10
)

// Run serves until the context ends, then finishes the requests in flight and returns nil. Any other end is an error.
func (s *Server) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	servers := s.listen()
	failed := make(chan error, len(servers))
	for _, one := range servers {
		go func() { failed <- one.serve() }()
	}
	var jobs sync.WaitGroup
	jobs.Go(func() { s.every(ctx, time.Minute, s.sweep) })
	jobs.Go(func() { s.every(ctx, rollUpEvery, s.rollUp) })
	jobs.Go(func() { s.every(ctx, time.Second, s.outbox.SendDue) })
	jobs.Go(func() { s.every(ctx, time.Hour, s.daily(s.admin.Actions.AnnounceExpiring)) })
	jobs.Go(func() { s.every(ctx, time.Hour, s.oauth.ForgetWaiting) })
	jobs.Go(func() { s.every(ctx, time.Minute, s.metadata.RefreshDue) })
	jobs.Go(func() { s.every(ctx, time.Minute, s.admin.Actions.SyncDue) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stop()
	s.shutdown(servers)
	jobs.Wait()
	return err
}

// server is one listener with its handler.
type server struct {
	http  *http.Server
	serve func() error
}

func (s *Server) listen() []server {
	public := s.httpServer(s.handler())
	all := []server{{public, func() error {
		if s.config.TLSCert != "" {
			return public.ServeTLS(s.config.Listener, s.config.TLSCert, s.config.TLSKey)
		}
		return public.Serve(s.config.Listener)
	}}}
	if s.config.MTLS.Listener != nil {
		asking := s.httpServer(s.mount(s.certified(), endpoints))
		// Any certificate will do for the connection: what it is worth is said where it counts.
		asking.TLSConfig = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
		all = append(all, server{asking, func() error {
			return asking.ServeTLS(s.config.MTLS.Listener, s.config.MTLS.TLSCert, s.config.MTLS.TLSKey)
		}})
	}
	if s.config.Private != nil {
		all = append(all, plain(s.httpServer(s.private()), s.config.Private))
	}
	if s.config.Socket != nil {
		local := s.httpServer(s.mount(s.admin.SocketRoutes(), socket))
		local.ConnContext = s.admin.PeerContext
		all = append(all, plain(local, s.config.Socket))
	}
	return all
}

func plain(h *http.Server, listener net.Listener) server {
	return server{h, func() error { return h.Serve(listener) }}
}

func (s *Server) httpServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
	}
}

func (s *Server) shutdown(servers []server) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	for _, one := range servers {
		if err := one.http.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
			s.config.Log.Warn("connections were cut at the stop", "error", err)
		}
	}
	if err := s.engine.Strangers.Flush(ctx, s.config.Store, s.audit, true); err != nil {
		s.config.Log.Error("refusals counted since the last minute are not in the audit", "error", err)
	}
}

// private serves what is for the machine's operator only, and so nothing that a browser was told to fetch.
func (s *Server) private() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	m.HandleFunc("GET /readyz", s.ready)
	m.HandleFunc("GET /debug/pprof/", pprof.Index)
	m.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	m.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "" {
			http.Error(w, "not for browsers", http.StatusForbidden)
			return
		}
		m.ServeHTTP(w, r)
	})
}

// ready answers 200 when the store can be read.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	err := s.config.Store.View(r.Context(), func(tx store.Tx) error { return nil })
	if err != nil {
		http.Error(w, "the store cannot be read", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}

// every runs a job now and then at an interval until the context ends; a failing job is logged and tried again.
func (s *Server) every(ctx context.Context, interval time.Duration, job func(context.Context) error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := job(ctx); err != nil && ctx.Err() == nil {
			s.config.Log.Error("background job", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// daily lets a job that is called more often go on once a day, or until it has succeeded.
func (s *Server) daily(job func(context.Context) error) func(context.Context) error {
	var done time.Time
	return func(ctx context.Context) error {
		now := s.config.Now()
		if now.Sub(done) < 24*time.Hour {
			return nil
		}
		err := job(ctx)
		if err == nil {
			done = now
		}
		return err
	}
}

// sweepBatch bounds one sweeping transaction, so that sign-ins do not wait behind it.
const sweepBatch = 500

// sweep ends and deletes what is over its time, and writes the folded refusals of the last minute.
func (s *Server) sweep(ctx context.Context) error {
	if err := s.engine.ForgetRest(ctx); err != nil {
		return err
	}
	if err := s.engine.EndDue(ctx); err != nil {
		return err
	}
	if err := s.engine.ClearGrants(ctx); err != nil {
		return err
	}
	sweeps := []func(store.Tx, time.Time, int) (int, error){
		session.Table.Sweep, flow.Requests.Sweep, flow.AnsweredOnce.Sweep, flow.Logouts.Sweep, saml.Artifacts.Sweep, upstream.Inquiries.Sweep, audit.UsageDays.Sweep, audit.PersonUses.Sweep, directory.Links.Sweep, grants.Requests.Sweep, grants.APITokens.Sweep, sp.Attempts.Sweep, certs.Notices.Sweep, federation.Documents.Sweep,
		grants.Codes.Sweep, grants.Devices.Sweep, grants.AllPushed.Sweep, grants.AccessTokens.Sweep, grants.RefreshTokens.Sweep, grants.AllGrants.Sweep, sp.SecretUses.Sweep,
	}
	for _, sweep := range sweeps {
		for n := sweepBatch; n == sweepBatch; {
			err := s.config.Store.Update(ctx, func(tx store.Tx) (err error) {
				n, err = sweep(tx, s.config.Now(), sweepBatch)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	if err := s.retire(ctx); err != nil {
		return err
	}
	if err := s.engine.Strangers.Flush(ctx, s.config.Store, s.audit, false); err != nil {
		return err
	}
	return s.engine.Recount(ctx)
}

// rollUpEvery is how old the figures about usage may be.
const rollUpEvery = 5 * time.Second

// rollUp counts the sign-ons since the last time.
func (s *Server) rollUp(ctx context.Context) error {
	_, err := audit.RollUp(ctx, s.config.Store)
	return err
}

// retire deletes the audit entries of this node that are older than the organisation keeps them.
func (s *Server) retire(ctx context.Context) error {
	for n := sweepBatch; n == sweepBatch; {
		err := s.config.Store.Update(ctx, func(tx store.Tx) error {
			settings, _, err := directory.LoadSettings(tx)
			if err != nil {
				return err
			}
			n, err = audit.Sweep(tx, s.config.Node, s.config.Now().Add(-settings.AuditRetention()), sweepBatch)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
