package sp

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

func policySettings() []Setting {
	return []Setting{
		permittedUsers(),
		list("policy.profiles", "Profiles", "Profiles that may enter.",
			func(a *App) *[]string { return &a.Policy.Profiles }),
		list("policy.permission_sets", "Permission sets", "Permission sets that may enter.",
			func(a *App) *[]string { return &a.Policy.PermissionSets }),
		list("policy.groups", "Groups", "Groups that may enter.",
			func(a *App) *[]string { return &a.Policy.Groups }),
		list("policy.users", "Users", "Single people who may enter.",
			func(a *App) *[]string { return &a.Policy.Users }),
		list("policy.approvers", "Approvers", "People who may grant access on request; empty: nobody can ask for it.",
			func(a *App) *[]string { return &a.Policy.Approvers }),
		choice("policy.consent", "Consent", "Ask each person the first time, and when the app wants to know more.",
			[]string{"auto", ConsentAlways, "never"}, func(a *App) *string { return &a.Policy.Consent }),
		ipRanges(),
		choice("policy.ip_relaxation", "Profile's addresses", "When the address ranges of a profile do not count.",
			[]string{"enforce", "relax_refresh", "relax_with_mfa", "relax"},
			func(a *App) *string { return &a.Policy.IPRelaxation }),
		choice("policy.min_level", "Least level", "How strongly one must be signed in.",
			[]string{string(Low), string(Standard), string(High)}, func(a *App) *Level { return &a.Policy.MinLevel }),
		choice("policy.on_low_level", "When too weak", "Who has no second factor yet may put it off only for the organisation's grace (signin.mfa_grace).",
			[]string{"raise", OnLowBlock, OnLowGrace},
			func(a *App) *string { return &a.Policy.OnLowLevel }),
		span("policy.max_auth_age", "Oldest sign-in", "Ask for the credentials again when they are older.", "none",
			time.Second, maxDuration, func(a *App) *time.Duration { return &a.Policy.MaxAuthAge }),
		span("policy.session_timeout", "Session timeout", "Limits what the app is told, never the session here.", "none",
			time.Minute, maxDuration, func(a *App) *time.Duration { return &a.Policy.SessionTimeout }),
		refreshToken(),
		instant("policy.not_before", "Access begins", "Nobody enters earlier.",
			func(a *App) *time.Time { return &a.Policy.NotBefore }),
		instant("policy.not_after", "Access ends", "Nobody enters from then on.",
			func(a *App) *time.Time { return &a.Policy.NotAfter }),
		upperBound("policy.scopes", "Scopes", "The most that the app may ask for.",
			func(a *App) *[]string { return &a.Policy.Scopes }),
		upperBound("policy.attributes", "Attributes", "The most that the app may be told: sources, such as email, or names of the default attributes, such as mail. A NameID made of one counts too.",
			func(a *App) *[]string { return &a.Policy.Attributes }),
	}
}

// permittedUsers is the one choice that is stored even when it is the default: see Policy.
func permittedUsers() Setting {
	s := choice("policy.permitted_users", "Permitted users", "Everybody, or only the lists below.",
		[]string{PermitAll, PermitPreauthorized}, func(a *App) *string { return &a.Policy.PermittedUsers })
	set := s.set
	s.set = func(a *App, v string) error {
		if v == "" {
			v = PermitAll
		}
		return set(a, v)
	}
	return s
}

func ipRanges() Setting {
	return Setting{Key: "policy.ip_ranges", Label: "Address ranges", Help: "Addresses or CIDR ranges; empty: anywhere.",
		Kind: KindList, Default: "anywhere",
		get: func(a *App) string {
			items := make([]string, len(a.Policy.IPRanges))
			for i, r := range a.Policy.IPRanges {
				items[i] = r.String()
			}
			return formatList(items)
		},
		set: func(a *App, v string) error {
			ranges, err := parseRanges(v)
			if err != nil {
				return err
			}
			a.Policy.IPRanges = ranges
			return nil
		}}
}

func refreshToken() Setting {
	return Setting{Key: "policy.refresh_token", Label: "Refresh token", Kind: KindText, Default: "infinite",
		Help: "infinite, immediate (dead at once), lifetime:D from the issue, or idle:D since the last use.",
		get:  func(a *App) string { return a.Policy.RefreshToken },
		set: func(a *App, v string) error {
			if err := checkRefreshToken(v); err != nil {
				return err
			}
			a.Policy.RefreshToken = v
			return nil
		}}
}

func checkRefreshToken(v string) error {
	if v == "" || v == "infinite" || v == "immediate" {
		return nil
	}
	rule, duration, found := strings.Cut(v, ":")
	if !found || rule != "lifetime" && rule != "idle" {
		return fmt.Errorf("%q is not allowed; choose infinite, immediate, lifetime:D or idle:D, like idle:14d", v)
	}
	d, err := ParseDuration(duration)
	if err == nil && d < time.Minute {
		err = errors.New("must be at least 1m")
	}
	return err
}
