package saml

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// artifactPath is where apps exchange artifacts; artifactIndex is its index in our metadata.
const (
	artifactPath  = "/saml/artifact"
	artifactIndex = 0
)

// artifactEvent is the audit kind of everything about artifacts.
const artifactEvent = "artifact"

// artifactLifetime is how long an artifact can be exchanged: the app does so at once.
const artifactLifetime = 2 * time.Minute

// Artifact is an answer that waits for its app. The handle that the browser carries is known only by its hash.
type Artifact struct {
	ID      string    `json:"id"`  // hex SHA-256 of the 20-byte message handle
	App     string    `json:"app"` // app id: nobody else gets it
	Message []byte    `json:"message"`
	Answer  string    `json:"answer,omitempty"`  // id of the message, for the audit
	User    string    `json:"user,omitempty"`    // whom it is about; empty: a refusal about nobody
	Session string    `json:"session,omitempty"` // handle of their session: the artifact ends with it
	Expires time.Time `json:"expires"`
}

// Artifacts holds the answers that were not fetched yet.
var Artifacts = &store.Table[Artifact]{
	Name:    "saml_artifact",
	Version: 1,
	Key:     func(a *Artifact) string { return a.ID },
	Expires: func(a *Artifact) time.Time { return a.Expires },
}

// newArtifact makes an artifact of type 4 for a message (bindings 3.6.4), and the form's field that carries it.
func (h *Handlers) newArtifact(pass *flow.Pass, message []byte) (*Artifact, templates.Field) {
	source := sha1.Sum([]byte(h.entityID(pass.Settings))) // what the standard demands; nothing leans on it
	artifact := append([]byte{0, 4, 0, artifactIndex}, source[:]...)
	handle := make([]byte, 20)
	rand.Read(handle) // never fails
	record := &Artifact{ID: handleID(handle), App: pass.App.ID, Message: message, Answer: pass.Event.Facts["response"], Expires: pass.Now.Add(artifactLifetime)}
	if pass.Session != nil && pass.Reached != nil {
		record.User, record.Session = pass.User.ID, pass.Session.Handle
	}
	return record, templates.Field{Name: "SAMLart", Value: base64.StdEncoding.EncodeToString(append(artifact, handle...))}
}

func handleID(handle []byte) string {
	sum := sha256.Sum256(handle)
	return hex.EncodeToString(sum[:])
}

// ArtifactResolve is an app's wish to exchange an artifact (core 3.5.1).
type ArtifactResolve struct {
	Head
	Artifact string
}

func readArtifactResolve(t *tree, head Head) *ArtifactResolve {
	r := &ArtifactResolve{Head: head}
	at, err := t.only(0, nsProtocol, "Artifact")
	if err == nil && at < 0 {
		err = errors.New("it has no Artifact")
	}
	if err == nil {
		r.Artifact, err = t.value(at)
	}
	if err != nil {
		r.note(err)
	}
	return r
}

// resolve gives an app its answer, once: POST /saml/artifact. An artifact that is unknown, used, too old or another app's gets an
// answer without a message, as the standard wants it (core 3.5.3); the audit knows why.
func (h *Handlers) resolve(w http.ResponseWriter, r *http.Request) error {
	m, app, err := h.readSOAP(r, artifactEvent)
	if err != nil {
		return err
	}
	if m.Resolve == nil {
		return h.Engine.Halt(r, app.ID, artifactEvent, wrongMessage(m.kind).reason())
	}
	if problem := h.checkAnswer(m, h.BaseURL+artifactPath); problem != nil {
		return h.Engine.Halt(r, app.ID, artifactEvent, problem.reason())
	}
	message, err := h.exchange(r, app, m.Resolve.Artifact)
	if err != nil {
		return err
	}
	signing, entityID, err := h.logoutSigning(r.Context(), app.Definition.SAML)
	if err != nil {
		return err
	}
	answer, err := artifactResponse(entityID, m.Resolve.ID, message, h.Now(), signing)
	if err != nil {
		return err
	}
	return writeSOAP(w, answer)
}

// exchange takes the message out of the store, with its audit entry; nil when there is none for this app.
func (h *Handlers) exchange(r *http.Request, app *sp.App, artifact string) (message []byte, err error) {
	raw, err := base64.StdEncoding.DecodeString(artifact)
	wellFormed := err == nil && len(raw) == 44 && bytes.Equal(raw[:4], []byte{0, 4, 0, artifactIndex})
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		message = nil
		event := audit.Event{Kind: artifactEvent, Outcome: audit.Refused, Reason: "unknown_artifact", App: app.ID, Address: web.Of(r).AddressText()}
		if !wellFormed {
			return h.Engine.Append(tx, event)
		}
		kept, _, err := Artifacts.Get(tx, handleID(raw[24:]))
		switch {
		case errors.Is(err, store.ErrNotFound):
			return h.Engine.Append(tx, event)
		case err != nil:
			return err
		case kept.App != app.ID: // it stays for the app that it is for
			event.Reason = "wrong_app"
			return h.Engine.Append(tx, event)
		}
		event.User, event.Facts = kept.User, map[string]string{"response": kept.Answer}
		if event.Reason, err = h.worthless(tx, &kept); err != nil {
			return err
		}
		if event.Reason == "" {
			event.Outcome, message = audit.OK, kept.Message
		}
		if err := Artifacts.Delete(tx, kept.ID); err != nil {
			return err
		}
		return h.Engine.Append(tx, event)
	})
	return message, err
}

// worthless says why an artifact is worth nothing any more: its time, the app, the person or the session is over. Empty: it is good.
func (h *Handlers) worthless(tx store.Tx, kept *Artifact) (string, error) {
	app, _, err := sp.Apps.Get(tx, kept.App)
	switch {
	case err != nil:
		return "", err
	case !h.Now().Before(kept.Expires):
		return "expired", nil
	case kept.User == "":
		return "", nil
	case app.State != sp.Active:
		return flow.ReasonAppBlocked, nil
	}
	user, _, err := directory.Users.Get(tx, kept.User)
	if errors.Is(err, store.ErrNotFound) || err == nil && user.Disabled {
		return string(sp.RuleUserActive), nil
	}
	if err != nil {
		return "", err
	}
	s, _, err := session.Table.By(tx, "handle", kept.Session)
	if errors.Is(err, store.ErrNotFound) || err == nil && !s.Live(h.Now()) {
		return "session_over", nil
	}
	return "", err
}

// artifactResponse wraps a message, or nothing, in an ArtifactResponse (core 3.5.2).
func artifactResponse(issuer, inResponseTo string, message []byte, now time.Time, signing *Signing) ([]byte, error) {
	if !writable(issuer) || !writable(inResponseTo) {
		return nil, errUnwritable
	}
	id := newID()
	doc := append(make([]byte, 0, len(message)+4<<10), `<samlp:ArtifactResponse xmlns:samlp="`+nsProtocol+`"`...)
	doc = appendTime(appendAttr(appendAttr(doc, "ID", id), "InResponseTo", inResponseTo), "IssueInstant", now)
	doc = append(doc, ` Version="2.0"><saml:Issuer xmlns:saml="`+nsAssertion+`">`...)
	doc = append(appendText(doc, issuer), `</saml:Issuer>`...)
	signatureAt := len(doc)
	doc = appendStatus(doc, StatusSuccess, "", "")
	// In canonical form a namespace that an outer element declares is not declared again.
	doc = append(doc, bytes.Replace(message, []byte(` xmlns:samlp="`+nsProtocol+`"`), nil, 1)...)
	doc = append(doc, `</samlp:ArtifactResponse>`...)
	return signing.signInto(doc, 0, signatureAt, id)
}

// binding is the one that the answer goes by.
func (a *Accepted) binding() string {
	switch {
	case a.ECP:
		return sp.BindingPAOS
	case a.Artifact:
		return sp.BindingArtifact
	}
	return sp.BindingPOST
}
