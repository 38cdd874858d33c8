package oauth

import (
	"context"
	"net/url"
	"slices"

	strict "github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
)

// ofJWT are the claims of a request object that are about itself.
var ofJWT = []string{"iss", "aud", "exp", "nbf", "iat", "jti", "sub"}

// opened reads the request object of a request, if there is one: a JWT signed by the client, whose parameters alone count (RFC 9101,
// 6.3). With a problem it gives what stood beside the object, so that the client can be told where that is registered.
func (h *Handlers) opened(ctx context.Context, sent url.Values) (url.Values, *Problem, error) {
	if !sent.Has("request") {
		return sent, nil, nil
	}
	id := sent.Get("client_id")
	app, err := h.clientOf(ctx, id)
	if err != nil || app == nil {
		return sent, nil, err // the client is unknown, which is said later
	}
	var payload strict.RawMessage
	problem := h.signedBy(ctx, app, sent.Get("request"), &payload, "", "jwt", "oauth-authz-req+jwt")
	var claims jwt.Claims
	members := map[string]strict.RawMessage{}
	if problem == nil && (strict.Unmarshal(payload, &claims) != nil || strict.Unmarshal(payload, &members) != nil) {
		problem = refuse("", "jwt_unreadable", "The claims of the request object cannot be read.")
	}
	if problem == nil {
		problem = h.judgeObject(id, &claims, members)
	}
	values := url.Values{}
	if problem == nil {
		values = parameters(members)
		values.Set("client_id", id)
		problem = once(values)
	}
	if problem != nil {
		if problem.Code = codeInvalidObject; problem.Received == "none" {
			problem.Code = codeRequestUnsupported // unsigned ones
		}
		return sent, problem, nil
	}
	return values, nil, nil
}

// judgeObject holds what a request object says about itself against who sent it (RFC 9101, 4 and 10.8).
func (h *Handlers) judgeObject(id string, claims *jwt.Claims, members map[string]strict.RawMessage) *Problem {
	var own string
	if raw, ok := members["client_id"]; ok && strict.Unmarshal(raw, &own) != nil || ok && own != id || claims.Issuer != "" && claims.Issuer != id {
		return refuse("", "request_object_of_other_client", "The request object names another client (iss, client_id).").because(id, claims.Issuer+" "+own)
	}
	if claims.Subject == id {
		return refuse("", "jwt_type", "This JWT proves who the client is: it is no request object.")
	}
	if members["request"] != nil || members["request_uri"] != nil {
		return refuse("", "request_object_nested", "A request object cannot hold or name another one.")
	}
	if claims.Audience != nil {
		if problem := h.meant(claims.Audience, h.BaseURL, h.BaseURL+authorizePath); problem != nil {
			return problem
		}
	}
	return h.timely(claims)
}

// parameters are the members of a request object as a query would hold them: text as it is, all else as JSON.
func parameters(members map[string]strict.RawMessage) url.Values {
	values := url.Values{}
	for name, raw := range members {
		var text string
		var list []string
		switch {
		case slices.Contains(ofJWT, name), string(raw) == "null":
		case strict.Unmarshal(raw, &text) == nil:
			values.Set(name, text)
		case name == "resource" && strict.Unmarshal(raw, &list) == nil && len(list) > 0:
			values[name] = list
		default:
			values.Set(name, string(raw))
		}
	}
	return values
}
