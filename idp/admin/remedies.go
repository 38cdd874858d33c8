package admin

import (
	"strings"

	"gatehouse/sp"
)

// Remedy says in a sentence what an administrator can change so that what was refused for a reason of the audit is taken next time,
// or why nothing needs to be changed; empty: no reason was given, or it is none of ours.
func Remedy(reason string) string {
	if words := sp.RemedyOf(sp.Rule(reason)); words != "" {
		return sentence(words)
	}
	if words := remedies[reason]; words != "" {
		return words
	}
	for _, prefix := range []string{"grant_", "too_many_"} { // whose ends say what was ended, and of what there were too many
		if strings.HasPrefix(reason, prefix) {
			return remedies[prefix]
		}
	}
	return ""
}

// remedy is one sentence for the reasons that it helps with, separated by spaces.
type remedy struct{ reasons, words string }

func byReason(list ...[]remedy) map[string]string {
	words := map[string]string{}
	for _, group := range list {
		for _, one := range group {
			for reason := range strings.FieldsSeq(one.reasons) {
				words[reason] = one.words
			}
		}
	}
	return words
}

var remedies = byReason(appRemedies, personRemedies, factorRemedies, samlRemedies, metadataRemedies, clientRemedies, authorizeRemedies, tokenRemedies, registrationRemedies, requestRemedies, changeRemedies)

// Of the road that every app takes.
var appRemedies = []remedy{
	{"unknown_app", "Connect the app (gatehouse app add), or have the link to it corrected: no app has that name here."},
	{"app_blocked", "Unblock the app (gatehouse app unblock APP) if people may use it again."},
	{"app_pending app_not_active", "Approve the app (gatehouse app approve APP), or unblock it if it is blocked."},
	{"metadata_expired", "Give the app newer metadata: gatehouse app add --metadata FILE --replace."},
	{"no_passive", "Nothing, if the app tries again with a page; else have it ask without prompt=none or IsPassive."},
	{"unknown_principal", "Have the person sign out and open the app again as the one whom the app asked for, or have the app name nobody."},
	{"level_unreachable", "Give the person a second factor (gatehouse user enroll-totp NAME), or let people set one up: gatehouse settings set signin.mfa_enrolment=self."},
	{"consent", "Have the person open the app and agree, or let an administrator decide instead: gatehouse app set APP policy.permitted_users=preauthorized."},
	{"replayed_request", "Have the person open the app again; if it happens often, the app sends the same request twice and has to be corrected."},
	{"expired_flow", "Have the person open the app again, and sign in within ten minutes."},
	{"other_browser", "Have the person open the app again and stay in one browser window, with cookies allowed."},
	{"embedded", "Have the app open the sign-in in a window of its own, not in a frame."},
	{"cancelled", "Nothing: the person chose to go back."},
	{"changed_meanwhile changed stale", "Try again: something was changed at the same moment."},
	{"no_start", "Set start_url, or let the app be started from the portal (saml.allow_idp_initiated, oauth.initiate_login_uri)."},
	{"bad_relay_state", "Correct the link, or allow where it leads: gatehouse app set APP saml.allowed_relay_states=PREFIX."},
	{"cannot_ask permitted_already asked_already answered_already", "Nothing: the request for access was not needed, or is answered."},
	{"not_approver", "Name the person in policy.approvers of the app if they should answer its requests."},
	{"own_request", "Have another approver answer: nobody answers their own request."},
	{"user_not_active", "Enable the account: gatehouse user enable NAME."},
	{"app_not_told", "See whether the app's logout address is right and can be reached from here; until then it may keep the person signed in."},
	{"partial_logout", "See in the entries around this one which app was not told, and whether its logout address is right."},
	{"no_logout", "Nothing: the sign-out was over already."},
}

// Of people who sign in.
var personRemedies = []remedy{
	{"wrong_password", "Have the person try again, or set a new password: gatehouse user reset-password NAME."},
	{"unknown_user", "Compare how the name was typed with gatehouse user list, or add the person: gatehouse user add NAME."},
	{"disabled", "Enable the account if the person may sign in: gatehouse user enable NAME."},
	{"throttled_account", "Wait a quarter of an hour at most; if it was not the person, somebody guesses their password and only throttle.account keeps them slow."},
	{"throttled_address too_many_refused", "Wait a minute; if many people share the network, raise throttle.address: gatehouse settings set throttle.address=NUMBER."},
	{"source_down source_failed", "See whether the directory answers: gatehouse source test NAME."},
	{"source_left", "Give the person a password here, or bring their directory back: it was removed or paused."},
	{"ambiguous_name", "Narrow the directory's user_filter so that it finds one entry for a name, each with a lasting id: gatehouse source test NAME USER."},
	{"not_adopted", "See what keeps the directory's person from becoming one of ours: gatehouse source test NAME USER."},
	{"sync_refused", "See with gatehouse source sync NAME --dry-run who is gone there, and repeat it with --force if that is right."},
	{"password_elsewhere", "Have the person change the password in their directory, which alone knows it."},
	{"no_passwords no_password", "Allow passwords (gatehouse settings set signin.methods=password), or have the person sign in another way."},
	{"no_passkeys", "Allow passkeys: gatehouse settings set signin.methods=password,passkey."},
	{"no_credentials", "Have the program send a user name and a password."},
	{"link_over", "Send a new link: gatehouse user invite NAME for a new person, else a forgotten password is asked for on the sign-in page."},
	{"no_mail", "Set up the mail server (smtp.url, smtp.from), or reset the password yourself: gatehouse user reset-password NAME."},
	{"gave_up not_sent too_late", "See whether the mail server takes mail: gatehouse settings test-mail ADDRESS."},
	{"upstream_answer", "See what does not fit in the detail, and look at the other provider as a whole: gatehouse upstream test NAME."},
	{"upstream_silent", "See in the detail which address of the other provider does not answer, and whether it does now: gatehouse upstream test NAME."},
	{"upstream_refused", "Ask whoever runs the other provider why it did not sign the person in; the detail holds what it said."},
	{"no_such_upstream", "Add the provider (gatehouse upstream add), or have it stop telling Gatehouse of sign-outs."},
	{"bad_frame", "Have the other provider send iss and sid: there it is told that the session is required (frontchannel_logout_session_required)."},
	{"bad_logout_token", "Compare issuer, client id and keys with the other provider: gatehouse upstream test NAME."},
	{"too_many_sessions", "Nothing: a person has so many sessions at most, and the oldest was ended."},
}

// Of second factors and passkeys.
var factorRemedies = []remedy{
	{"second_factor", "Have the person sign in on a page: a password alone is not enough for them."},
	{"wrong_code used_code", "Have the person type the next code, and see that the clock of their phone is right."},
	{"throttled_factor", "Wait a quarter of an hour at most, or take the factors away: gatehouse user reset-mfa NAME."},
	{"expired_challenge", "Have the person try the passkey again, without waiting."},
	{"unknown_passkey bad_passkey", "Have the person use another passkey or way to sign in; gatehouse user reset-mfa NAME takes a lost one away."},
	{"sign_count", "Ask the person whether their security key was copied, and take it away if they do not know: gatehouse user reset-mfa NAME."},
	{"enrolment_by_admin", "Give the person a factor (gatehouse user enroll-totp NAME), or let people do it: gatehouse settings set signin.mfa_enrolment=self."},
	{"own_factors own_password", "Change your own on your account page, which asks for the present ones."},
}

var samlRemedies = []remedy{
	{"malformed_message soap_fault not_xml wrong_message wrong_version invalid_request", "Have whoever runs the app correct what it sends: it is no SAML 2.0 message of the kind that belongs here."},
	{"message_too_large", "Have whoever runs the app send a smaller message."},
	{"duplicate_parameter", "Have whoever runs the app send each parameter once."},
	{"unknown_issuer", "Connect the app under the entity id that it sends (see received), or have the app corrected: gatehouse app add --metadata FILE."},
	{"unsigned_request", "Have the app sign its requests; only if it cannot: gatehouse app set APP saml.require_signed_requests=false."},
	{"bad_signature", "Give Gatehouse the app's present signing certificate with newer metadata: gatehouse app add --metadata FILE --replace."},
	{"refused_algorithm", "Have the app use one of the algorithms that are expected; SHA-1 is broken and is not taken."},
	{"wrong_destination", "Correct the sign-on address in the app to the one that is expected, or start serve with the --base-url that people use."},
	{"stale_request", "Set the clock of the app's server right, or have the person open the app again."},
	{"unregistered_acs", "Register the address that was received with newer metadata (gatehouse app add --metadata FILE --replace), if it is the app's."},
	{"unsupported_binding", "Have the app ask for an answer by HTTP-POST or by artifact."},
	{"invalid_nameid_policy", "Have the app ask for another name format, or set the one it wants: gatehouse app set APP saml.nameid_format=FORMAT."},
	{"no_authn_context", "Have the app ask for a class that Gatehouse knows, add it to saml.authn_contexts, or take stronger ones: gatehouse app set APP saml.authn_context_leniency=stronger-ok."},
	{"no_supported_idp", "Have the app leave out its list of identity providers, or name this one in it."},
	{"relay_state_too_long", "Allow 1,024 bytes (gatehouse app set APP saml.relay_state_limit=lenient), or have the app send a shorter RelayState."},
	{"cannot_encrypt", "Give the app metadata with an encryption key; only if it has none: gatehouse app set APP saml.encrypt=never."},
	{"cannot_sign no_signing_key", "Make and activate a key of the kind that the app wants (gatehouse key stage, gatehouse key activate), or set another algorithm."},
	{"cannot_evaluate_attributes", "Correct the expression that the detail names, in saml.attributes or custom_attributes of the app."},
	{"missing_attributes", "Fill in what the person lacks (gatehouse user set NAME KEY=VALUE), or let people in without it: gatehouse app set APP saml.missing_attributes=release."},
	{"channel_bindings", "Have the client use one TLS connection to the app and repeat; somebody may stand in between."},
	{"unknown_artifact wrong_app", "Nothing, if it happens once: the app fetched an answer late, twice, or one that is not its own."},
	{"no_name", "Nothing: the app does not know the person by a persistent name yet."},
}

// Of metadata that is fetched, of apps, sources and upstreams.
var metadataRemedies = []remedy{
	{"fetch_failed", "See whether the address of the metadata answers and can be reached from here; in a private network start serve with --allow-fetch."},
	{"bad_metadata", "Have whoever publishes the metadata correct it; the detail, or the answer that a client got, says what is wrong."},
	{"other_entity", "Give the address where this app's metadata lies: what came is of another entity."},
	{"not_in_source", "See whether the source still has the entity id, or give the app metadata of its own: gatehouse app add --metadata FILE --replace."},
	{"no_such_source", "Add the metadata source again, or give the app metadata of its own: gatehouse app add --metadata FILE --replace."},
	{"nothing_waits newer_waits source_changed being_fetched", "Look again at what waits, and answer that: gatehouse app metadata APP."},
	{"unsigned", "Give the address of the metadata that is signed by a pinned key: what is not signed could be anybody's."},
	{"not_the_root", "Have whoever publishes the metadata sign the whole document."},
	{"wrong_key", "Compare the pinned keys with those that the publisher names, and pin the new ones: gatehouse metadata-source set NAME keys=@FILE."},
	{"changed_after_signing", "Fetch the metadata again; if it stays so, have whoever publishes it sign it anew."},
	{"no_valid_until valid_until_too_far", "Have whoever publishes the metadata give it a validUntil that is not too far ahead."},
}

// Of OAuth clients that prove who they are.
var clientRemedies = []remedy{
	{"unknown_client", "Correct the client id in the app (gatehouse app show APP tells it), or add the client: gatehouse app add --oauth FILE."},
	{"wrong_secret", "Give the app its present secret, or make a new one: gatehouse app rotate-secret APP."},
	{"too_many_wrong_secrets", "Stop what sends the old secret, give it the present one, and wait a minute."},
	{"wrong_auth_method", "Have the app prove itself as expected, or set what it does: gatehouse app set APP oauth.token_endpoint_auth_method=METHOD."},
	{"public_client", "Give the app a secret or a key, which this needs: gatehouse app set APP oauth.token_endpoint_auth_method=client_secret_basic."},
	{"no_client_id bad_basic bad_authorization bad_assertion_type two_authentications", "Have the app send its client id and its proof once: by HTTP Basic, in the body, or as a client_assertion."},
	{"client_document", "See whether the document at the client id can be fetched from here and names itself by that address."},
	{"client_keys jwt_key_unknown", "See that the app publishes the key that it signs with, at oauth.jwks_uri or in oauth.jwks."},
	{"jwt_signature", "Have the app sign with a key that it publishes, at oauth.jwks_uri or in oauth.jwks."},
	{"jwt_algorithm jwt_type jwt_unreadable", "Have the app sign a JWT with one of the algorithms in docs/oauth.md, “What clients sign”."},
	{"jwt_audience", "Have the app name the issuer, which is the base URL of Gatehouse, as aud, and nobody else."},
	{"jwt_expired jwt_old jwt_of_the_future jwt_long_lived assertion_exp", "Set the clock of the app's server right, and have it sign for a few minutes only."},
	{"assertion_jti assertion_replayed", "Have the app make a new assertion, with a jti of its own, for each request."},
	{"assertion_sub assertion_of_other_client", "Have the app name itself by its client id as iss, and as sub where it proves who it is."},
	{"no_certificate certificates_off", "Have the app use an address of mtls_endpoint_aliases, and start serve with --mtls-listen or --client-cert-header."},
	{"certificate_expired", "Give the app a certificate that is within its dates."},
	{"certificate_untrusted", "Add the authority to the file of serve --client-ca, or give the app a certificate of one that is in it."},
	{"certificate_of_other_client", "Compare the certificate with the oauth.tls_client_auth_… setting of the app, or with the x5c of its keys."},
	{"other_certificate", "Have the app use the same client certificate for the token and for what it does with it."},
	{"dpop_missing bound_token", "Have the app send a DPoP proof with each request, and the token as DPoP rather than Bearer."},
	{"dpop_signature dpop_repeated dpop_uri dpop_method dpop_ath dpop_key", "Have the app make one proof for each request: of its own key, for the method, the address and the token that it goes with."},
	{"dpop_other_key", "Have the app keep the key with which it asked for the token: what it holds is bound to that one."},
	{"bad_dpop_jkt", "Have the app send as dpop_jkt the SHA-256 thumbprint of its key (RFC 7638), or leave it out."},
	{"dpop_iat", "Set the clock of the app's server right: a proof is good for a few minutes."},
	{"dpop_jti dpop_replayed", "Have the app make a new proof, with a jti of its own, for each request."},
}

// Of sign-ins and sign-outs by OpenID Connect.
var authorizeRemedies = []remedy{
	{"sent_to_us", "Correct the address of the app: no redirect URI, ACS or logout address lies at Gatehouse itself."},
	{"no_redirect_uri bad_redirect_uri", "Register the address that the app sends, letter by letter, if it is the app's: gatehouse app set APP oauth.redirect_uris=URI,URI."},
	{"bad_post_logout_redirect_uri", "Register the address that the app sends, letter by letter: gatehouse app set APP oauth.post_logout_redirect_uris=URI."},
	{"no_response_type bad_response_type", "Have the app send response_type=code, which alone is offered."},
	{"bad_response_mode", "Have the app use response_mode query, fragment or form_post, or none."},
	{"no_code_challenge pkce_downgrade", "Have the app send a code_challenge with code_challenge_method=S256; only for old software: gatehouse app set APP oauth.require_pkce=false."},
	{"bad_code_challenge bad_code_challenge_method", "Have the app send the SHA-256 of its code_verifier in base64url, with code_challenge_method=S256."},
	{"bad_prompt bad_max_age bad_claims bad_id_token_hint two_subjects", "Have whoever runs the app correct the parameter that the reason names, or leave it out."},
	{"other_client", "Have the app show an ID token of its own when it signs people out."},
	{"request_uri request_uri_pushed two_requests request_uri_of_other_client", "Have the app push its request to /oauth/par, or send it as the parameter request: one of them."},
	{"not_pushed", "Have the app push its requests; only if it cannot: gatehouse app set APP oauth.require_pushed_authorization_requests=false."},
	{"unknown_request_uri", "Have the person open the app again: a pushed request is good once, and for a minute and a half at most."},
	{"request_object_nested request_object_of_other_client", "Have the app sign a request object of its own, with no other request in it."},
	{"scope_not_allowed no_scopes", "Allow the scope (gatehouse app set APP oauth.scopes=openid,profile,…), and see that policy.scopes does not take it away."},
	{"not_yours_to_give", "Have somebody open the app whose role holds what it asks for, or take scopes of our own API (directory, apps, audit) out of its oauth.scopes."},
	{"device_denied", "Nothing: the person did not let the device in."},
	{"device_over device_code_expired", "Start again on the device: its code is good once, for ten minutes."},
	{"device_waits device_polls_too_fast", "Nothing: the device asks again by itself; one that asks too fast has to heed the interval."},
	{"unknown_user_code too_many_codes", "Have the person type the code as the device shows it, and wait a minute after too many tries."},
}

// Of the token endpoint and of what takes tokens.
var tokenRemedies = []remedy{
	{"no_grant_type no_code no_refresh_token no_device_code no_assertion no_subject_token no_token", "Have the app send what the reason names, in the body of a form or, of a token, in the Authorization header."},
	{"unsupported_grant_type", "Have the app use a grant type that is offered: docs/oauth.md lists them."},
	{"grant_type_not_allowed", "Allow the grant type: gatehouse app set APP oauth.grant_types=authorization_code,…"},
	{"grant_type_switched_off", "Take it out of oauth.disabled_grants of the organisation; the password grant is allowed by oauth.legacy_methods=password."},
	{"unknown_code code_expired", "Have the app redeem the code at once, within a minute, and the person sign in again."},
	{"unknown_device_code", "Start again on the device, and have it ask with the device code that it was given."},
	{"code_of_other_client device_code_of_other_client refresh_token_of_other_client token_of_other_client", "Have the app use what was given to it, with its own client id."},
	{"code_replayed device_code_replayed replayed", "Have the app redeem a code once; if it did, somebody else has seen the code, and the person signs in again."},
	{"wrong_redirect_uri", "Have the app send the same redirect_uri with the code as at the sign-in."},
	{"no_code_verifier wrong_code_verifier", "Have the app keep the code_verifier of each sign-in, and send it with that one's code."},
	{"signed_out withdrawn grant_", "Have the person sign in again: what they had given to the app was ended by a sign-out, a withdrawal or an administrator."},
	{"unknown_refresh_token", "Have the person sign in again; the refresh token was ended, or is older than policy.refresh_token allows."},
	{"refresh_token_reused", "Have the app keep the newest refresh token and refresh in one place at a time; the person signs in again."},
	{"offline_not_allowed", "Allow offline_access in oauth.scopes and policy.scopes, or have the person sign in again."},
	{"scope_not_granted", "Have the app ask for no more scopes than were agreed to, or the person sign in again."},
	{"no_run_as", "Say as whom the app acts: gatehouse app set APP oauth.run_as=NAME."},
	{"no_consent", "Let an administrator decide who may use the app (policy.permitted_users=preauthorized), or have the person open the app once and agree."},
	{"unknown_subject", "Have the app name a person by user name or id in sub, and permit that person to use the app."},
	{"bad_subject_token bad_subject_token_type bad_requested_token_type", "Have the app exchange an access token of ours that is still good, for an access token."},
	{"subject_token_of_other_client", "Let the app see the tokens of others: gatehouse app set APP oauth.introspect=children, or all."},
	{"too_many_actors actor_token", "Have the app exchange the token that the person's own app holds, and send no actor_token."},
	{"bad_target", "Allow what the app names: gatehouse app set APP oauth.resources=ADDRESS."},
	{"other_audience", "Have the app ask for a token without resource, or with the issuer as one of them."},
	{"bad_token expired_token", "Have the program use a token that is still good: a new API token is made by gatehouse token create NAME."},
	{"token_address", "Use the token from the addresses that it was made for, or make another: gatehouse token create NAME --address CIDR."},
	{"token_creator", "Have an owner make a new token: gatehouse token create NAME."},
	{"no_openid", "Have the app ask for the scope openid."},
	{"two_tokens", "Have the app send the access token once: in the Authorization header or in the body."},
	{"repeated_parameter", "Have the app send the parameter that was received once."},
	{"long_parameter", "Have the app send at most 8,192 bytes in the parameter that was received."},
	{"bad_query", "Have the app build the address anew: it is damaged, for example cut off."},
	{"long_request", "Have the app send less in state, nonce and what nobody reads, or push its request (PAR)."},
	{"not_a_form bad_form", "Have the app send the parameters in the body, as application/x-www-form-urlencoded."},
}

// Of clients that register themselves.
var registrationRemedies = []remedy{
	{"no_initial_token bad_initial_token", "Give the gateway a new token: gatehouse app registration-token APP."},
	{"bad_registration_token", "Have the client use the newest registration access token; if it is lost, remove the client and let it register again."},
	{"parent_not_active parent_blocked", "Approve or unblock the app under which the client stands: gatehouse app unblock APP."},
	{"not_json bad_json bad_sector wrong_client_id", "Have whoever runs the client correct its metadata (RFC 7591); the answer that it got says what is wrong."},
	{"too_many_clients too_many_registrations", "Remove or answer clients that wait (gatehouse app list --state pending), and try again in a minute."},
}

// Of requests as such, whatever they are for.
var requestRemedies = []remedy{
	{"cross_site", "Nothing, unless a page of yours sends forms to Gatehouse: open Gatehouse itself instead."},
	{"browser", "Use the gatehouse command on the socket; browsers open the base URL."},
	{"too_large incomplete long_address long_headers", "Send less, and try again."},
	{"bad_address", "Open the address again from where it was found, or correct what makes it."},
	{"no_saml", "Ask for the metadata of Gatehouse as a whole: the app has no SAML."},
	{"busy internal failed", "Look into the log of the server for the cause, and whether its disk is full."},
	{"no_permission forbidden", "Have somebody with the right role do it, give the role (gatehouse user set NAME roles=ROLE), or use a token with that scope (of an app: oauth.scopes)."},
	{"not_signed_in", "Sign in to the console first, or send a token: gatehouse token create NAME."},
	{"not_found not_served method_not_allowed", "Correct the address or the name: there is nothing like it here."},
	{"bad_value ambiguous exists wrong_state removed held in_use key_in_use key_unfit lets_nobody_in locks_out_author last_owner has_password no_secret no_client no_provider is_child builtin bad_lines",
		"Repeat the change as the answer to it said; nothing was changed."},
	{"too_many too_many_", "Wait a minute and try again; if it comes back, see in the audit who sends so much."},
}

// Of changes that need another role.
var changeRemedies = []remedy{
	{"needs_owner", "Ask an owner to do it: your role does not reach so far."},
	{"needs_app_admin not_yours", "Ask an app administrator to do it: your role does not reach so far."},
}
