package mime_test

import (
	"fmt"

	"golang.org/x/text/encoding/charmap"

	"mailroom/shared/mime"
)

func ExampleParse() {
	parsed, err := mime.Parse([]byte("From: Jane <jane@sender.example>\r\n" +
		"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
		"\r\n" +
		"Hello\r\n"))
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println(parsed.Message.From[0].Address, parsed.Message.Subject)
	fmt.Printf("%q\n", parsed.Message.Text)
	// Output:
	// jane@sender.example Grüße
	// "Hello\n"
}

// Every part that is not body text is an attachment, decoded and with a safe name.
func ExampleParse_attachments() {
	parsed, err := mime.Parse([]byte("Subject: Invoice\r\n" +
		"Content-Type: multipart/mixed; boundary=next\r\n" +
		"\r\n" +
		"--next\r\n\r\nSee attached.\r\n" +
		"--next\r\n" +
		"Content-Type: application/pdf\r\n" +
		"Content-Disposition: attachment; filename=\"../invoice.pdf\"\r\n" +
		"Content-Transfer-Encoding: base64\r\n" +
		"\r\n" +
		"JVBERi0xLjcK\r\n" +
		"--next--\r\n"))
	if err != nil {
		fmt.Println(err)
		return
	}

	for _, a := range parsed.Attachments {
		fmt.Println(a.Filename, a.ContentType, a.Size)
	}
	// Output: invoice.pdf application/pdf 9
}

// A mail beyond a limit is returned as far as it was read, with the reason. Defects
// name what programs read differently.
func ExampleParse_defects() {
	parsed, err := mime.Parse([]byte("Content-Type: message/partial; id=1; number=1; total=2\r\n" +
		"Content-Type: text/plain\r\n" +
		"\r\n" +
		"Hello\r\n"))
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println(parsed.Malformed)
	fmt.Println(parsed.Message.Defects)

	_, err = mime.Parse(nil)
	fmt.Println(err)
	// Output:
	// mail is malformed: it is one piece of a mail that was sent in several (message/partial)
	// [content_type_twice message_partial]
	// mail is malformed: it is empty
}

// An operator who knows better than the mail sets the character set.
func ExampleParseWith() {
	raw := []byte("Subject: x\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\xcf\xf0\xe8\xe2\xe5\xf2\r\n")
	parsed, err := mime.ParseWith(raw, mime.Options{Charset: charmap.Windows1251})
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Print(parsed.Message.Text)
	// Output: Привет
}
