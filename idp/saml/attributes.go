package saml

import (
	"slices"
	"strings"
	"unicode/utf8"

	"gatehouse/idp/claims"
	"gatehouse/sp"
)

// ReleaseTo evaluates what an app gets to know of a person: all that it is released within the admin's upper bound and, where the
// request chose an attribute set, within that set.
// Attributes of the same name and format are merged; one without values is left out.
func ReleaseTo(app *sp.App, person *claims.Person, service *int, evaluator *claims.Evaluator) ([]AttributeValues, *Problem) {
	settings := app.Definition.SAML
	requested := requestedBy(service, &settings.Metadata)
	list := app.Released()
	out := make([]AttributeValues, 0, len(list))
	for i := range list {
		a := &list[i]
		if service != nil && findRequested(requested, a) == nil {
			continue
		}
		values, null, err := valuesOf(a.Source, person, evaluator, settings.Settings.EmptyValues)
		if err != nil {
			p := responder(ReasonAttributes, "", "What this app needs to know about you could not be worked out. Ask your administrator to check the app's attributes.")
			return nil, p.because(a.Name, a.Source).caused(err)
		}
		if service != nil {
			wanted := findRequested(requested, a).Values
			values, null = onlyValues(values, wanted), null && len(wanted) == 0
		}
		out = merge(out, a, values, null)
	}
	return out, nil
}

// valuesOf keeps empty values and null only for an app that is set to get them.
func valuesOf(source string, person *claims.Person, evaluator *claims.Evaluator, empty string) (values []string, null bool, err error) {
	if empty == sp.EmptySend {
		return evaluator.Exact(source, person)
	}
	values, err = evaluator.Values(source, person)
	return values, false, err
}

// missing names the attributes that the app's metadata requires and that are not told.
func missing(md *sp.Metadata, service *int, told []AttributeValues) []string {
	var names []string
	for _, required := range md.Required(service) {
		has := slices.ContainsFunc(told, func(a AttributeValues) bool {
			return len(a.Values) > 0 && required.Asks(&sp.Attribute{Name: a.Name, Format: a.Format})
		})
		if !has {
			names = append(names, required.Name)
		}
	}
	return names
}

// errMissing refuses a person whom the app cannot work with, where its setting says so.
func errMissing(names []string) *Problem {
	p := responder(ReasonMissing, "", "This app needs to know more about you than is known here. Ask your administrator to complete your account.")
	return p.because(cut(strings.Join(names, " ")), "")
}

// longValue is the longest value, in characters, that every app must take (SDP-G02).
const longValue = 256

// longValued names the attributes with a longer value, which apps may cut short or refuse.
func longValued(list []AttributeValues) string {
	var names []string
	for i := range list {
		if slices.ContainsFunc(list[i].Values, func(v string) bool { return utf8.RuneCountInString(v) > longValue }) {
			names = append(names, list[i].Name)
		}
	}
	return strings.Join(names, " ")
}

func requestedBy(service *int, md *sp.Metadata) []sp.RequestedAttribute {
	for i := range md.AttributeServices {
		if service != nil && md.AttributeServices[i].Index == *service {
			return md.AttributeServices[i].Requested
		}
	}
	return nil
}

func findRequested(requested []sp.RequestedAttribute, a *sp.Attribute) *sp.RequestedAttribute {
	for i := range requested {
		if requested[i].Asks(a) {
			return &requested[i]
		}
	}
	return nil
}

// onlyValues keeps the values that the service asks for, if it names any.
func onlyValues(values, wanted []string) []string {
	if len(wanted) == 0 {
		return values
	}
	var kept []string
	for _, value := range values {
		if slices.Contains(wanted, value) {
			kept = append(kept, value)
		}
	}
	return kept
}

func merge(out []AttributeValues, a *sp.Attribute, values []string, null bool) []AttributeValues {
	for i := range out {
		if out[i].Name != a.Name || out[i].Format != a.Format {
			continue
		}
		out[i].Null = out[i].Null || null
		for _, value := range values {
			if !slices.Contains(out[i].Values, value) {
				out[i].Values = append(slices.Clip(out[i].Values), value)
			}
		}
		return out
	}
	return append(out, AttributeValues{Name: a.Name, Format: a.Format, FriendlyName: a.FriendlyName, Values: values, Null: null})
}
