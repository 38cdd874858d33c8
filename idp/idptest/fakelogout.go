package idptest

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
)

// sloService is a SingleLogoutService in a fake service provider's metadata.
type sloService struct{ Binding, Location, ResponseLocation string }

func (s sloService) xml() string {
	more := ""
	if s.ResponseLocation != "" {
		more = ` ResponseLocation="` + s.ResponseLocation + `"`
	}
	return fmt.Sprintf(`<SingleLogoutService Binding="%s" Location="%s"%s/>`, s.Binding, s.Location, more)
}

// Leave is a LogoutRequest; zero fields are left out of it, save ID, Issuer, IssueInstant and Destination.
type Leave struct {
	ID, Issuer, Instant, Destination string
	NotOnOrAfter, Reason             string
	Name                             string // the NameID element, or what stands in its place
	Indexes                          []string
	Extensions                       string
	RelayState                       *string
	Unsigned                         bool
}

// leaveOf is the LogoutRequest for what a Response said of a person.
func leaveOf(r *Response) Leave {
	name := r.Root.FindElement("./Assertion/Subject/NameID").Copy()
	name.CreateAttr("xmlns:saml", "urn:oasis:names:tc:SAML:2.0:assertion")
	doc := etree.NewDocumentWithRoot(name)
	text, err := doc.WriteToString()
	if err != nil {
		panic(err)
	}
	return Leave{ID: "_" + rand.Text(), Name: text, Indexes: []string{r.Attr("./Assertion/AuthnStatement", "SessionIndex")}}
}

// instant is now as a message writes it, by the clock that the test turns.
func (sp *SP) instant() string {
	now := time.Now
	if sp.now != nil {
		now = sp.now
	}
	return now().UTC().Format("2006-01-02T15:04:05Z")
}

// Logout writes a LogoutRequest for an endpoint.
func (sp *SP) Logout(endpoint string, l Leave) string {
	or := func(value, standard string) string {
		if value == "" {
			return standard
		}
		return value
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" Version="2.0" ID="%s" IssueInstant="%s" Destination="%s"`,
		or(l.ID, "_"+rand.Text()), or(l.Instant, sp.instant()), or(l.Destination, endpoint))
	if l.NotOnOrAfter != "" {
		fmt.Fprintf(&b, ` NotOnOrAfter="%s"`, l.NotOnOrAfter)
	}
	if l.Reason != "" {
		fmt.Fprintf(&b, ` Reason="%s"`, l.Reason)
	}
	b.WriteString("><saml:Issuer>" + or(l.Issuer, sp.EntityID) + "</saml:Issuer>" + l.Extensions + l.Name)
	for _, index := range l.Indexes {
		b.WriteString("<samlp:SessionIndex>" + index + "</samlp:SessionIndex>")
	}
	b.WriteString("</samlp:LogoutRequest>")
	return b.String()
}

// LogoutAnswer writes a LogoutResponse to a message, with a second-level status if sub is not empty.
func (sp *SP) LogoutAnswer(endpoint, to, sub string) string {
	status := `<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>`
	if sub != "" {
		status = `<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:` + sub + `"/>`
	}
	return fmt.Sprintf(`<samlp:LogoutResponse xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" Version="2.0" ID="_%s" IssueInstant="%s" Destination="%s" InResponseTo="%s"><saml:Issuer>%s</saml:Issuer><samlp:Status>%s</samlp:Status></samlp:LogoutResponse>`,
		rand.Text(), sp.instant(), endpoint, to, sp.EntityID, status)
}

// redirectTo puts a message into the query of an address, signed unless the test wants it otherwise.
func (sp *SP) redirectTo(endpoint, parameter, message string, relayState *string, sign bool) string {
	sp.t.Helper()
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.DefaultCompression)
	if err != nil {
		sp.t.Fatal(err)
	}
	if _, err := w.Write([]byte(message)); err != nil {
		sp.t.Fatal(err)
	}
	w.Close()
	query := parameter + "=" + url.QueryEscape(base64.StdEncoding.EncodeToString(deflated.Bytes()))
	if relayState != nil {
		query += "&RelayState=" + url.QueryEscape(*relayState)
	}
	if sign {
		query = sp.SignQuery(query)
	}
	return endpoint + "?" + query
}

// inEnvelope is a message as SOAP carries it.
func inEnvelope(message string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Header/><S:Body>` + message + `</S:Body></S:Envelope>`
}

// soapLogout is the server of a fake service provider that is told of logouts, and of changed names, by SOAP.
type soapLogout struct {
	URL  string
	mu   sync.Mutex
	got  []*etree.Element // the requests
	mode string           // "", "partial", "error", "unsigned", "other", "hang", "down"
}

// listenSOAP starts it.
func (sp *SP) listenSOAP(t *testing.T) *soapLogout {
	t.Helper()
	l := &soapLogout{}
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		doc := etree.NewDocument()
		if err != nil || doc.ReadFromBytes(body) != nil || r.Header.Get("Content-Type") != "text/xml; charset=utf-8" {
			t.Errorf("what came is no SOAP: %q %v", body, err)
			return
		}
		request := doc.FindElement("./Envelope/Body/*")
		mode := l.note(request)
		switch mode {
		case "hang":
			<-stop
			return
		case "down":
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		id, sub := request.SelectAttrValue("ID", ""), map[string]string{"error": "Responder", "partial": "Requester"}[mode]
		if mode == "other" {
			id = "_another"
		}
		answer := sp.LogoutAnswer("", id, sub)
		answer = strings.ReplaceAll(answer, "LogoutResponse", strings.Replace(request.Tag, "Request", "Response", 1))
		if mode != "unsigned" {
			answer = sp.SignXML(answer)
		}
		fmt.Fprint(w, inEnvelope(answer))
	}))
	t.Cleanup(func() { close(stop); server.Close() })
	l.URL = server.URL
	return l
}

func (l *soapLogout) note(request *etree.Element) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, request)
	return l.mode
}

func (l *soapLogout) set(mode string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mode = mode
}

func (l *soapLogout) requests() []*etree.Element {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got
}
