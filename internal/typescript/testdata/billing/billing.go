// Package billing has types whose names are used elsewhere as well.
package billing

// User is who pays.
type User struct {
	IBAN string `json:"iban"`
}

// Date is called like a type of TypeScript's own.
type Date struct {
	Year, Month, Day int
}
