package claims

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
)

// Bounds of one evaluation.
const (
	maxCost    = 50_000 // CEL's units; at worst some 60 ms
	maxDepth   = 50
	maxValues  = 5000
	maxBytes   = 256 << 10 // of all values together
	fieldNames = "id, name, display_name, email, given_name, surname, profile, permission_sets, groups and attributes"
)

// fields are what `user` has.
var fields = []string{"id", "name", "display_name", "email", "given_name", "surname", "profile", "permission_sets", "groups", "attributes"}

// environment is the compiler, made at the first expression: it takes some milliseconds and megabytes.
type environment struct{ *cel.Env }

// expression is a compiled source.
type expression struct {
	program cel.Program
	held    bool // looks at what the person holds
}

func newEnvironment() (*environment, error) {
	env, err := cel.NewEnv(
		cel.Variable("user", cel.MapType(cel.StringType, cel.DynType)),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserExpressionSizeLimit(MaxSource),
		ext.Strings(ext.StringsVersion(4)),
	)
	return &environment{env}, err
}

// compile returns the compiled form of an expression, made at most once while it is kept.
func (e *Evaluator) compile(source string) (*expression, error) {
	e.mu.RLock()
	known := e.compiled[source]
	e.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	if strings.TrimSpace(source) == "" || len(source) > MaxSource {
		return nil, &SourceError{Text: fmt.Sprintf("give an attribute name or an expression of at most %d bytes", MaxSource)}
	}
	if !utf8.ValidString(source) {
		return nil, &SourceError{Text: "it is not valid UTF-8"}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.env == nil {
		env, err := newEnvironment()
		if err != nil {
			return nil, fmt.Errorf("set up CEL: %w", err)
		}
		e.env, e.compiled = env, map[string]*expression{}
	}
	made, err := e.env.compile(source)
	if err != nil {
		return nil, err
	}
	if len(e.compiled) >= maxPrograms {
		for other := range e.compiled {
			delete(e.compiled, other)
			break
		}
	}
	e.compiled[source] = made
	return made, nil
}

func (env *environment) compile(source string) (*expression, error) {
	checked, issues := env.Compile(source)
	if found := issues.Errors(); len(found) > 0 {
		bad := &SourceError{Text: firstLine(found[0].Message)}
		if at := found[0].Location; at.Line() > 0 { // limits of the parser have no place
			bad.Line, bad.Column = at.Line(), at.Column()+1
		}
		return nil, bad
	}
	if !gives(checked.OutputType()) {
		return nil, &SourceError{Text: fmt.Sprintf("it gives %s; it must give a text or a list of texts", checked.OutputType())}
	}
	made := &expression{}
	if err := made.look(checked.NativeRep()); err != nil {
		return nil, err
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, &SourceError{Text: firstLine(err.Error())}
	}
	made.program = program
	return made, nil
}

// gives tells whether a type can be attribute values; what only the evaluation knows (dyn) can.
func gives(t *cel.Type) bool {
	switch t.Kind() {
	case types.StringKind, types.DynKind, types.NullTypeKind:
		return true
	case types.ListKind:
		element := t.Parameters()[0].Kind()
		return element == types.StringKind || element == types.DynKind || element == types.TypeParamKind
	}
	return false
}

// look finds misspelt fields of `user`, and whether the expression needs what the person holds.
func (x *expression) look(tree *ast.AST) error {
	var problem *SourceError
	selected := map[int64]bool{} // mentions of user that are followed by a field
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch {
		case e.Kind() == ast.IdentKind && e.AsIdent() == "user":
			if !selected[e.ID()] {
				x.held = true
			}
		case e.Kind() == ast.SelectKind && e.AsSelect().Operand().Kind() == ast.IdentKind && e.AsSelect().Operand().AsIdent() == "user":
			selected[e.AsSelect().Operand().ID()] = true
			field := e.AsSelect().FieldName()
			x.held = x.held || field == "profile" || field == "permission_sets" || field == "groups"
			if !slices.Contains(fields, field) && problem == nil {
				at := tree.SourceInfo().GetStartLocation(e.ID())
				problem = &SourceError{at.Line(), at.Column() + 1, fmt.Sprintf("user has no %q; it has %s", field, fieldNames)}
			}
		}
	}))
	if problem != nil {
		return problem
	}
	return nil
}

// exact evaluates for a person, and keeps empty texts. The error, say of a missing attribute, is worded for the administrator.
func (x *expression) exact(person *Person) (values []string, null bool, err error) {
	var held Held
	if x.held {
		if held, err = person.held(); err != nil {
			return nil, false, err
		}
	}
	result, _, err := x.program.Eval(map[string]any{"user": map[string]any{
		"id": person.ID, "name": person.Name, "display_name": person.DisplayName, "email": person.Email,
		"given_name": person.GivenName, "surname": person.Surname, "profile": held.Profile,
		"permission_sets": held.PermissionSets, "groups": held.Groups, "attributes": person.Attributes,
	}})
	if err != nil {
		return nil, false, fmt.Errorf("the attribute source fails for this person: %w", err)
	}
	if _, null = result.(types.Null); null {
		return nil, true, nil
	}
	values, err = texts(result)
	return values, false, err
}

var errTooMuch = errors.New("the attribute source gives more values than fit into an answer")

func texts(result ref.Val) ([]string, error) {
	switch value := result.(type) {
	case types.String:
		return bounded([]string{string(value)})
	case traits.Lister:
		var all []string
		for it := value.Iterator(); it.HasNext() == types.True; {
			text, ok := it.Next().(types.String)
			if !ok {
				return nil, errors.New("the attribute source gives a list that does not hold only texts: convert with string()")
			}
			if len(all) > maxValues {
				return nil, errTooMuch
			}
			all = append(all, string(text))
		}
		return bounded(all)
	}
	return nil, fmt.Errorf("the attribute source gives %s for this person; it must give a text or a list of texts", result.Type().TypeName())
}

func bounded(all []string) ([]string, error) {
	size := 0
	for _, text := range all {
		size += len(text)
	}
	if len(all) > maxValues || size > maxBytes {
		return nil, errTooMuch
	}
	return all, nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
