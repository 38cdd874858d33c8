package sampleapps

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/crewjam/saml"
	"github.com/crewjam/saml/samlsp"
)

// sloPath is where the identity provider's logout messages arrive, by redirect, so that the app's cookie comes with them.
const sloPath = "saml/slo"

// offerLogout lists the app's logout service in its metadata. crewjam lists one and has no handler for it: this one is ours.
func (a *App) offerLogout(role *saml.SPSSODescriptor) {
	role.SingleLogoutServices = nil
	if !a.spec.Unsigned { // logout messages must be signed
		role.SingleLogoutServices = []saml.Endpoint{{Binding: saml.HTTPRedirectBinding, Location: a.base.JoinPath(sloPath).String()}}
	}
}

// signOut ends the app's own session, and asks the identity provider to end the one there and at every other app.
func (a *App) signOut(w http.ResponseWriter, r *http.Request) {
	session, err := a.session.GetSession(r)
	a.forget(w)
	claims, known := session.(samlsp.JWTSessionClaims)
	if err != nil || !known || a.spec.Unsigned {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	sp, err := a.withProvider(r.Context())
	if err != nil {
		a.show(w, http.StatusBadGateway, page{Problem: err.Error()})
		return
	}
	form, err := sp.MakePostLogoutRequest(claims.Subject, "")
	if err != nil {
		a.show(w, http.StatusBadGateway, page{Problem: err.Error()})
		return
	}
	writeForm(w, form)
}

// leave takes the identity provider's logout messages: a request ends the session here, an answer says how it went elsewhere.
func (a *App) leave(w http.ResponseWriter, r *http.Request) {
	sp, err := a.withProvider(r.Context())
	if err == nil {
		err = verifyQuery(r.URL.RawQuery, sp.IDPMetadata)
	}
	if err != nil {
		a.show(w, http.StatusForbidden, page{Problem: "The logout message was not accepted: " + err.Error()})
		return
	}
	a.forget(w)
	if message := r.URL.Query().Get("SAMLRequest"); message != "" {
		a.confirm(w, sp, message, r.URL.Query().Get("RelayState"))
		return
	}
	response := saml.LogoutResponse{}
	if err := inflate(r.URL.Query().Get("SAMLResponse"), &response); err != nil {
		a.show(w, http.StatusBadRequest, page{Problem: err.Error()})
		return
	}
	notice := "You are signed out here and in your other apps."
	if nested := response.Status.StatusCode.StatusCode; response.Status.StatusCode.Value != saml.StatusSuccess || nested != nil {
		notice = "You are signed out here. Some of your other apps did not confirm."
	}
	a.show(w, http.StatusOK, page{Notice: notice})
}

func (a *App) confirm(w http.ResponseWriter, sp *saml.ServiceProvider, message, relayState string) {
	request := saml.LogoutRequest{}
	if err := inflate(message, &request); err != nil {
		a.show(w, http.StatusBadRequest, page{Problem: err.Error()})
		return
	}
	form, err := sp.MakePostLogoutResponse(request.ID, relayState)
	if err != nil {
		a.show(w, http.StatusBadGateway, page{Problem: err.Error()})
		return
	}
	writeForm(w, form)
}

// forget ends the app's session in this browser.
func (a *App) forget(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: a.session.Name, Path: "/", MaxAge: -1, HttpOnly: true})
}

func (a *App) withProvider(ctx context.Context) (*saml.ServiceProvider, error) {
	idp, err := a.identityProvider(ctx)
	sp := a.sp
	sp.IDPMetadata = idp
	return &sp, err
}

// writeForm writes crewjam's form, which posts itself.
func writeForm(w http.ResponseWriter, form []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write([]byte("<!DOCTYPE html><title>Signing out</title>" + string(form)))
}

// inflate reads a message of the Redirect binding.
func inflate(encoded string, message any) error {
	compressed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(compressed)), bodyLimit))
	if err != nil {
		return err
	}
	return xml.Unmarshal(text, message)
}

// verifyQuery checks the RSA-SHA256 signature of a Redirect message, which crewjam does not (saml-bindings-2.0-os, 3.4.4.1).
func verifyQuery(raw string, idp *saml.EntityDescriptor) error {
	signed, encoded, ok := strings.Cut(raw, "&Signature=")
	values, err := url.ParseQuery(raw)
	if !ok || err != nil || values.Get("SigAlg") != "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256" {
		return errors.New("it has no signature by rsa-sha256")
	}
	encoded, err = url.QueryUnescape(encoded)
	if err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(signed))
	for _, role := range idp.IDPSSODescriptors {
		for _, key := range role.KeyDescriptors {
			for _, certificate := range key.KeyInfo.X509Data.X509Certificates {
				if public := rsaKey(certificate.Data); public != nil && rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil {
					return nil
				}
			}
		}
	}
	return errors.New("its signature is not the identity provider's")
}

func rsaKey(encoded string) *rsa.PublicKey {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(encoded), ""))
	if err != nil {
		return nil
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	public, _ := certificate.PublicKey.(*rsa.PublicKey)
	return public
}
