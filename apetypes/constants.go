package apetypes

import (
	"cmp"
	"errors"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
)

// constantValue is one of a type's constants.
type constantValue struct {
	isText bool
	text   string
	number int64
}

// readSets finds the types whose constants look like all of their values. The
// package is checked without what it imports, and without the bodies of its
// funcs: constants seldom need either, and those that do are no enumeration.
func (p *pkg) readSets(path string, set *token.FileSet, files []*ast.File) {
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}}
	check := types.Config{
		IgnoreFuncBodies: true,
		FakeImportC:      true,
		Importer:         nothing{},
		Error:            func(error) {},
	}
	check.Check(path, set, files, info) //nolint:errcheck // what could be found out is in info
	candidates := map[*types.TypeName][]constantValue{}
	for _, file := range files {
		for _, d := range file.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, c := range constantsOf(group, info) {
				of := c.Type().(*types.Named).Obj()
				if v, ok := valueOf(c, group); ok {
					candidates[of] = append(candidates[of], v)
				} else {
					p.sets[of.Name()] = nil // known, and no closed set
				}
			}
		}
	}
	for of, values := range candidates {
		if _, open := p.sets[of.Name()]; !open && isClosed(values) {
			p.sets[of.Name()] = values
		}
	}
}

// nothing imports nothing.
type nothing struct{}

func (nothing) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }

// constantsOf returns the constants of a declaration that have a type of this
// package.
func constantsOf(group *ast.GenDecl, info *types.Info) []*types.Const {
	var list []*types.Const
	for _, spec := range group.Specs {
		for _, name := range spec.(*ast.ValueSpec).Names {
			c, ok := info.Defs[name].(*types.Const)
			if !ok || name.Name == "_" {
				continue
			}
			if t, ok := c.Type().(*types.Named); ok && t.Obj().Pkg() == c.Pkg() {
				list = append(list, c)
			}
		}
	}
	return list
}

// valueOf returns a constant's value; ok is false where it speaks against a
// closed set: flags, and numbers that are not counted by iota.
func valueOf(c *types.Const, group *ast.GenDecl) (v constantValue, ok bool) {
	switch value := c.Val(); value.Kind() {
	case constant.String:
		return constantValue{isText: true, text: constant.StringVal(value)}, true
	case constant.Int:
		n, exact := constant.Int64Val(value)
		return constantValue{number: n}, exact && isCounted(group)
	}
	return v, false
}

// isCounted reports whether a declaration uses iota, and does not shift it.
func isCounted(group *ast.GenDecl) bool {
	iota, shift := false, false
	ast.Inspect(group, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			iota = iota || n.Name == "iota"
		case *ast.BinaryExpr:
			shift = shift || n.Op == token.SHL
		}
		return true
	})
	return iota && !shift
}

// isClosed reports whether constants look like all values of their type: there
// are several, and numbers have no gaps. It sorts numbers.
func isClosed(values []constantValue) bool {
	slices.SortStableFunc(values, func(a, b constantValue) int { return cmp.Compare(a.number, b.number) })
	for i := 1; i < len(values); i++ {
		if n, before := values[i].number, values[i-1].number; n != before && n != before+1 {
			return false
		}
	}
	last := len(values) - 1
	return last > 0 && (values[0].isText || values[last].number > values[0].number)
}
