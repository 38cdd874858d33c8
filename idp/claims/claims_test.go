package claims_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/idp/claims"
)

var ana = &claims.Person{
	ID: "usr_1", Name: "ana", DisplayName: "Ana Lima", Email: "Ana@Example.com", GivenName: "Ana",
	Attributes: map[string][]string{"department": {"Sales", "North"}, "employee-id": {"42"}, "empty": {}},
	Held: func() (claims.Held, error) {
		return claims.Held{Profile: "Employee", PermissionSets: []string{"reports"}, Groups: []string{"eng", "all staff"}}, nil
	},
}

func TestValues(t *testing.T) {
	var e claims.Evaluator
	for source, want := range map[string][]string{
		"uid":             {"ana"},
		"mail":            {"Ana@Example.com"},
		"displayName":     {"Ana Lima"},
		"sn":              nil,
		"groups":          {"eng", "all staff"},
		"profile":         {"Employee"},
		"permission_sets": {"reports"},
		"department":      {"Sales", "North"},
		"employee-id":     {"42"},
		"no_such":         nil,

		"user.name":                             {"ana"},
		`"x-" + user.name`:                      {"x-ana"},
		"user.surname":                          nil,
		"user.email.lowerAscii()":               {"ana@example.com"},
		"user.groups":                           {"eng", "all staff"},
		`user["groups"]`:                        {"eng", "all staff"},
		`user.groups.filter(g, g != "eng")`:     {"all staff"},
		`user.groups.map(g, "g:" + g)`:          {"g:eng", "g:all staff"},
		"user.attributes.department[1]":         {"North"},
		`user.attributes["employee-id"]`:        {"42"},
		`user.profile == "Employee" ? "a" : ""`: {"a"},
		`user.profile == "Other" ? "a" : ""`:    nil,
		"null":                                  nil,
		"[]":                                    nil,
		`["a", "", "b"]`:                        {"a", "b"},
		`has(user.attributes.x) ? user.attributes.x : ["none"]`: {"none"},
		`user.email.split("@")[1]`:                              {"Example.com"},
		`string(user.groups.size())`:                            {"2"},
	} {
		got, err := e.Values(source, ana)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s = %q, %v; want %q", source, got, err, want)
		}
		if err := e.Validate(source); err != nil {
			t.Errorf("Validate(%s): %v", source, err)
		}
	}
}

func TestSourcesThatNeverWork(t *testing.T) {
	var e claims.Evaluator
	for source, position := range map[string]string{
		"":                               "",
		" ":                              "",
		"user":                           "",
		"user.name +":                    "line 1, column 12",
		"user.emial":                     "line 1, column 5",
		"user.name +\n  oops":            "line 2, column 3",
		"1":                              "",
		"true || false":                  "",
		"user.name == 'ana'":             "",
		"[1]":                            "",
		"{'a': 'b'}":                     "",
		"os.exit()":                      "line 1, column",
		strings.Repeat("x+", 2000) + "x": "",
		strings.Repeat("(", 500) + "'a'" + strings.Repeat(")", 500): "",
		"\"\xff\"": "",
	} {
		err := e.Validate(source)
		var bad *claims.SourceError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), position) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "line -1") {
			t.Errorf("%.40q: %v, want a SourceError at %q", source, err, position)
		}
	}
}

func TestEvaluationFailsForAPerson(t *testing.T) {
	var e claims.Evaluator
	held := errors.New("store closed")
	broken := *ana
	broken.Held = func() (claims.Held, error) { return claims.Held{}, held }
	for source, person := range map[string]*claims.Person{
		"user.attributes.nothing":       ana,
		"user.attributes.department[5]": ana,
		"user.groups.map(g, g.size())":  ana,
		"dyn(1)":                        ana,
		"user.groups + ['a']":           &broken,
		"groups":                        &broken,
		"user":                          ana,
	} {
		if got, err := e.Values(source, person); err == nil {
			t.Errorf("%s = %q", source, got)
		}
	}
	if _, err := e.Values("user.groups", &broken); !errors.Is(err, held) {
		t.Errorf("error of Held: %v", err)
	}
	if got, err := e.Values("user.name", &broken); err != nil || len(got) != 1 {
		t.Errorf("what is held is read without need: %v", err)
	}
	if got, err := e.Values("user.groups", &claims.Person{}); err != nil || got != nil {
		t.Errorf("nothing held: %q, %v", got, err)
	}
}

func TestCostIsBounded(t *testing.T) {
	var e claims.Evaluator
	many := *ana
	many.Held = func() (claims.Held, error) { return claims.Held{Groups: make([]string, 3000)}, nil }
	for _, source := range []string{
		"user.groups.map(a, user.groups.map(b, user.groups.exists(c, c == 'x') ? 'y' : 'z')[0])",
		"[1,2,3,4,5,6,7,8,9].map(a, user.groups.filter(b, user.groups.exists(c, c == b + 'x'))[0])",
	} {
		if _, err := e.Values(source, &many); err == nil {
			t.Errorf("%s ended", source)
		}
	}
	big := *ana
	big.Name = strings.Repeat("x", 200_000)
	if _, err := e.Values("[user.name, user.name]", &big); err == nil {
		t.Error("400,000 bytes are accepted")
	}
}

func TestConcurrentUse(t *testing.T) {
	var e claims.Evaluator
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for j := range 50 {
				want := fmt.Sprintf("ana%d", (i+j)%10)
				if got, err := e.Values(fmt.Sprintf("user.name + '%d'", (i+j)%10), ana); err != nil || !slices.Equal(got, []string{want}) {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
	wait.Wait()
}

func TestNamesAllocateNothing(t *testing.T) {
	var e claims.Evaluator
	if n := testing.AllocsPerRun(100, func() { _, _ = e.Values("department", ana) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
