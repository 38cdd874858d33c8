package sampleapps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// partnerName is how a gateway's partner calls its client.
const partnerName = "Parcel Partner"

// register lets the gateway's partner register a client with the gateway's initial access token (RFC 7591, section 3).
func (c *Client) register(w http.ResponseWriter, r *http.Request) {
	v := c.visits.of(w, r)
	defer v.mu.Unlock()
	v.forget(notice{})
	partner, err := c.newPartner(r.Context(), v)
	if err == nil {
		err = c.keep.change(c.spec.Name, func(one *kept) { one.Partner = partner })
	}
	if v.notice = (notice{Title: "A client was registered", Text: "Its client id is " + partner.ClientID + ". No administrator was needed; the console lists it under " + c.spec.Name + "."}); err != nil {
		v.notice = refusal("No client was registered", err)
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (c *Client) newPartner(ctx context.Context, v *visit) (partner Credentials, err error) {
	own := c.Credentials()
	p, err := c.provider(ctx, own, "")
	if err != nil {
		return partner, err
	}
	metadata := c.metadata()
	metadata["client_name"] = partnerName
	text, err := json.Marshal(metadata)
	if err != nil {
		return partner, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Registration, bytes.NewReader(text))
	if err != nil {
		return partner, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+own.Initial)
	var answer struct {
		ClientID    string `json:"client_id"`
		Secret      string `json:"client_secret"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	status, err := send(c.recording(v), request, &answer)
	switch {
	case err != nil:
		return partner, err
	case status != http.StatusCreated:
		return partner, errors.New(said(answer.Description, answer.Error))
	case answer.ClientID == "":
		return partner, errors.New("the answer names no client id")
	}
	return Credentials{ClientID: answer.ClientID, Secret: answer.Secret}, nil
}
