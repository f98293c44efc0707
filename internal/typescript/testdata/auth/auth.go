// Package auth has a type whose name another package uses as well.
package auth

// User is who signs in.
type User struct {
	Name string `json:"name"`
}
