package admin

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/federation"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
	"gatehouse/templates"
)

// held is a certificate with who holds it: a key of ours, or an app.
type held struct {
	key         string // id; empty: an app's, or an upstream's
	app         api.Ref
	upstream    string // name
	certificate []byte
	subject     string
	notAfter    time.Time
}

func (h *held) holder() string {
	if h.upstream != "" {
		return "upstream:" + h.upstream
	}
	return h.key + h.app.ID
}

// ends says when a certificate ends, or that it has.
func ends(notAfter, now time.Time) string {
	date := notAfter.UTC().Format("2 January 2006")
	if !notAfter.After(now) {
		return "ended on " + date
	}
	if days := int(notAfter.Sub(now).Hours() / 24); days > 1 {
		return fmt.Sprintf("ends on %s, in %d days", date, days)
	}
	return "ends on " + date + ", within two days"
}

// certificatesOf lists the certificates of an app's metadata; a bare key has none, and none ends.
func certificatesOf(app *sp.App) []held {
	if app.Definition.SAML == nil {
		return nil
	}
	var list []held
	for i := range app.Definition.SAML.Metadata.Keys {
		der := app.Definition.SAML.Metadata.Keys[i].Certificate
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			continue
		}
		list = append(list, held{
			app: api.Ref{ID: app.ID, Name: app.Definition.Name}, certificate: der, subject: certificate.Subject.String(), notAfter: certificate.NotAfter,
		})
	}
	return list
}

// endingCertificates warns of an app's certificates that end within 90 days or have ended.
func (a *Actions) endingCertificates(app *sp.App) []api.Warning {
	var list []api.Warning
	for _, c := range a.endingOf(app) {
		list = append(list, api.Warning{Code: "certificate_ends", Severity: string(metadata.Caution),
			Text: fmt.Sprintf("The app's certificate %.80q %s: ask for newer metadata.", c.subject, ends(c.notAfter, a.Now()))})
	}
	return list
}

// endingOf are the certificates of an app that end within 90 days or have ended.
func (a *Actions) endingOf(app *sp.App) []held {
	return slices.DeleteFunc(certificatesOf(app), func(c held) bool {
		return c.notAfter.After(a.Now()) && certs.Threshold(c.notAfter, a.Now()) == 0
	})
}

// ending is an app, or a key of ours by its id, whose certificate ends at a time.
type ending struct {
	api.Ref
	at time.Time
}

// firstEnd is when the first of an app's certificates ends, within 90 days or in the past; zero: none does.
func (a *Actions) firstEnd(app *sp.App) time.Time {
	var first time.Time
	for _, c := range a.endingOf(app) {
		if first.IsZero() || c.notAfter.Before(first) {
			first = c.notAfter
		}
	}
	return first
}

func (a *Actions) endingKeys(tx store.Tx) ([]ending, error) {
	entries, err := a.Keyring.List(tx)
	var list []ending
	for _, e := range entries {
		if living(e) && (certs.Threshold(e.NotAfter, a.Now()) > 0 || !e.NotAfter.After(a.Now())) {
			list = append(list, ending{api.Ref{ID: e.ID}, e.NotAfter})
		}
	}
	return list, err
}

// urgency is the tone of a to-do about an end: a note from 90 days before it, a warning from 30, a danger from 7.
func urgency(at, now time.Time) string {
	switch certs.Threshold(at, now) {
	case certs.WarnEarly:
		return "info"
	case certs.WarnSoon:
		return "warn"
	}
	return "danger"
}

func endingTasks(list []ending, now time.Time) []templates.Task {
	var tasks []templates.Task
	for _, one := range list {
		tasks = append(tasks, templates.Task{Kind: urgency(one.at, now), Text: "A certificate of " + one.Name + " " + ends(one.at, now) + ".",
			Link: templates.Link{Label: "Replace its metadata", Href: appBase(one.ID) + "/metadata"}})
	}
	return tasks
}

func endingKeyTasks(list []ending, now time.Time) []templates.Task {
	var tasks []templates.Task
	for _, one := range list {
		tasks = append(tasks, templates.Task{Kind: urgency(one.at, now), Text: "The certificate of our signing key " + one.ID + " " + ends(one.at, now) + ".",
			Link: templates.Link{Label: "Stage the next key", Href: "/admin/keys"}})
	}
	return tasks
}

// cannotSign warns that no key of ours can sign for an app.
func (a *Actions) cannotSign(tx store.Tx, app *sp.App) ([]api.Warning, error) {
	if !concerns(app) {
		return nil, nil
	}
	published, _, err := a.Keyring.Published(tx)
	if err != nil || a.Metadata.SignerOf(app.Definition.SAML, published) != "" {
		return nil, err
	}
	return []api.Warning{{Code: "cannot_sign", Severity: string(metadata.Caution),
		Text: "No signing key fits what the app declares or is set to, so every sign-on fails: stage and activate a key of the kind it takes, or change its signing settings."}}, nil
}

// announceBatch bounds one transaction of announcements, announceWalk one read of apps.
const (
	announceBatch = 100
	announceWalk  = 500
)

// AnnounceExpiring leaves an audit entry for each certificate that has come within 90, 30 or 7 days of its end, once each.
func (a *Actions) AnnounceExpiring(ctx context.Context) error {
	due, err := a.dueFew(ctx)
	if err != nil {
		return err
	}
	for after, more := "", true; more; {
		var some []held
		if some, after, err = a.dueApps(ctx, after); err != nil {
			return err
		}
		due, more = append(due, some...), after != ""
		for len(due) >= announceBatch || !more && len(due) > 0 {
			n := min(len(due), announceBatch)
			if err := a.announce(ctx, due[:n]); err != nil {
				return err
			}
			due = due[n:]
		}
	}
	return nil
}

// dueFew are the certificates of our keys and of upstreams: there are never many.
func (a *Actions) dueFew(ctx context.Context) ([]held, error) {
	var due []held
	err := a.view(ctx, func(tx store.Tx) error {
		due = nil
		published, _, err := a.Keyring.Published(tx)
		for _, key := range published {
			due = append(due, held{key: key.ID, certificate: key.Certificate, notAfter: key.NotAfter})
		}
		if err == nil {
			err = federation.Upstreams.Each(tx, store.Page{}, func(_ string, u *federation.Upstream) error {
				for _, one := range certificatesOf(u.Party()) {
					one.upstream, one.app = u.Name, api.Ref{}
					due = append(due, one)
				}
				return nil
			})
		}
		if err == nil {
			due, err = a.onlyDue(tx, due)
		}
		return err
	})
	return due, err
}

func (a *Actions) dueApps(ctx context.Context, after string) (due []held, next string, err error) {
	err = a.view(ctx, func(tx store.Tx) error {
		due = nil
		apps, cursor, err := sp.Apps.List(tx, store.Page{After: after, Limit: announceWalk})
		if err != nil {
			return err
		}
		next = cursor
		for i := range apps {
			if concerns(&apps[i]) {
				due = append(due, certificatesOf(&apps[i])...)
			}
		}
		due, err = a.onlyDue(tx, due)
		return err
	})
	return due, next, err
}

func (a *Actions) onlyDue(tx store.Tx, list []held) ([]held, error) {
	var due []held
	for _, one := range list {
		days, err := certs.Due(tx, one.holder(), one.certificate, one.notAfter, a.Now())
		if err != nil {
			return nil, err
		}
		if days > 0 {
			due = append(due, one)
		}
	}
	return due, nil
}

// announce writes the entries of a batch. It looks again what is due, because another node may have been first.
func (a *Actions) announce(ctx context.Context, batch []held) error {
	return a.Store.Update(ctx, func(tx store.Tx) error {
		for i := range batch {
			one := &batch[i]
			days, err := certs.Due(tx, one.holder(), one.certificate, one.notAfter, a.Now())
			if err != nil {
				return err
			}
			if days == 0 {
				continue
			}
			if err := certs.Told(tx, one.holder(), one.certificate, one.notAfter, days); err != nil {
				return err
			}
			if _, err := a.Audit.Append(tx, expiring(one, days)); err != nil {
				return err
			}
		}
		return nil
	})
}

func expiring(one *held, days int) audit.Event {
	facts := map[string]string{"within_days": strconv.Itoa(days), "not_after": one.notAfter.UTC().Format(time.RFC3339), "sha256": certs.Fingerprint(one.certificate)}
	switch {
	case one.key != "":
		facts["key"] = one.key
	case one.upstream != "":
		facts["upstream"] = one.upstream
		fallthrough
	default:
		facts["subject"] = fmt.Sprintf("%.200s", one.subject)
	}
	return audit.Event{Kind: "certificate.expiring", Outcome: audit.OK, Actor: "system", App: one.app.ID, Facts: facts}
}
