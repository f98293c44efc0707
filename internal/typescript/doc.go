// Package typescript writes the TypeScript declarations of an application's
// API: its paths, events, channels, and the Go types that travel on them.
//
//	err := typescript.Write(w, &typescript.Schema{
//		Paths: []typescript.Path{{Name: "users/list", In: reflect.TypeFor[Query](), Out: reflect.TypeFor[[]User]()}},
//	})
//
// A Go type is declared as the browser's client decodes what package codec
// writes of it, and there is one declaration for both directions:
//
//	Go                                    TypeScript
//	bool, numbers, json.Number, strings   boolean, number, string
//	time.Time                             Date
//	[]byte                                Uint8Array
//	codec.Set, codec.Map                  Set<any>, Map<string, any>
//	*regexp.Regexp, codec.RegExp          RegExp
//	error, and types that implement it    Error
//	a type with MarshalText               string
//	a type with MarshalJSON, interfaces   any
//	struct                                an interface, or { … } where it has no name
//	[]T, [N]T                             T[], and a tuple for up to 8 elements
//	map[K]T                               { [key: string]: T }
//	a nil pointer, slice, map or error    null beside the type
//	option omitempty or omitzero          a member that may be missing, and is not null then
//	option string                         string
//	embedded structs                      members of the outer one, as in encoding/json
//	Page[User]                            PageOfUser
//
// A member is null where encoding/json writes null: a nil slice is no empty
// array. Programs that do not want their users to think of it give the field
// the option omitempty, or omitzero, which leaves out nil only.
//
// A type with a method Values() []T is a union of literals: the method is
// called on the zero value, and each element is written as the codec writes it.
// An empty list says that the type has no closed set of values.
//
// Types have the names that they have in Go. Two of one name get the name of
// their package in front, and so does one that is called like something that
// the declarations need themselves, such as Date.
//
// The text depends on the schema only: the same program gives the same bytes.
// Everything here may be called concurrently.
package typescript
