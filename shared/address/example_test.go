package address_test

import (
	"fmt"

	"mailroom/shared/address"
)

func ExampleParse() {
	a := address.Parse("<support+urgent@BÜCHER.example>")
	fmt.Println(a.Base, a.Tag, a.Domain)
	fmt.Println(a.Mailbox())
	// Output:
	// support urgent xn--bcher-kva.example
	// support@BÜCHER.example
}

func ExampleDomains_Foreign() {
	own := address.NewDomains([]string{"yourapp.example"})
	fmt.Println(own.Foreign([]string{"support@yourapp.example", "sales@other.example"}))
	// Output: [sales@other.example]
}
