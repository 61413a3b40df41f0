// Package mimetest makes mails with an attachment that some programs find and others do
// not, for tests of code that must find it. Only tests import it.
package mimetest

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
)

// Disguises returns mails by the name of their trick. Each is from pat@sender.example to
// support@yourapp.example with the subject "case" and the text "Please see the
// attachment."; its attachment is file, in a form that some mail program reads. file
// must have at least 60 bytes and begin like a binary file.
func Disguises(file []byte) map[string]string {
	out := map[string]string{}
	for name, d := range disguises(file) {
		out[name] = d.mail(file)
	}
	return out
}

// Beyond returns mails like those of Disguises in which file is beyond a limit of the
// parser, or is a fragment: no parser has to find it.
func Beyond(file []byte) map[string]string {
	deep := "Content-Type: multipart/mixed; boundary=in0\r\n\r\n"
	for i := range 30 {
		deep += fmt.Sprintf("--in%d\r\nContent-Type: multipart/mixed; boundary=in%d\r\n\r\n", i, i+1)
	}
	deep += "--in30\r\n" + plainPart + "\r\n" + Base64(file)
	fields := strings.Repeat("X-A: b\r\n", 1100)
	return map[string]string{
		"depth":      disguise{part: "\r\n\r\n--b1\r\n" + deep + "\r\n--b1\r\n"}.mail(file[:3]),
		"parts":      disguise{part: "\r\n\r\n" + strings.Repeat("--b1\r\n\r\nx\r\n", 1100) + "--b1\r\n" + plainPart}.mail(file),
		"fields":     disguise{part: strings.Repeat("X-A: b\r\n", 1100) + plainPart}.mail(file),
		"fields all": disguise{before: fields}.mail(file),
		"field":      disguise{part: "Content-Type: application/zip; name=\"" + strings.Repeat("x", 300<<10) + "\"\r\nContent-Transfer-Encoding: base64\r\n"}.mail(file),
		"parameters": disguise{top: "Content-Type: multipart/mixed" + strings.Repeat("; a=b", 1100) + "; boundary=b1\r\n"}.mail(file),
		"piece":      disguise{part: "Content-Type: message/partial; id=x; number=1; total=2\r\n", body: "Content-Type: application/zip\r\n\r\n" + Base64(file)[:40]}.mail(file),
	}
}

// Base64 returns content in base64, in lines of 40 characters with CRLF.
func Base64(content []byte) string { return wrap(base64.StdEncoding.EncodeToString(content)) }

func wrap(s string) string {
	var out strings.Builder
	for len(s) > 40 {
		out.WriteString(s[:40] + "\r\n")
		s = s[40:]
	}
	return out.String() + s + "\r\n"
}

// Uuencode returns content as POSIX uuencode writes it, with CRLF.
func Uuencode(name string, content []byte) string {
	var out strings.Builder
	fmt.Fprintf(&out, "begin 644 %s\r\n", name)
	for len(content) > 0 {
		line := content[:min(45, len(content))]
		content = content[len(line):]
		out.WriteByte(byte(' ' + len(line))) //nolint:gosec // at most 45
		for len(line) > 0 {
			var group [3]byte
			line = line[copy(group[:], line):]
			for _, v := range []byte{group[0] >> 2, group[0]<<4&0x30 | group[1]>>4, group[1]<<2&0x3c | group[2]>>6, group[2] & 0x3f} {
				if v == 0 {
					v = '`' - ' '
				}
				out.WriteByte(' ' + v)
			}
		}
		out.WriteString("\r\n")
	}
	return out.String() + "`\r\nend\r\n"
}

// disguise is a mail with one attachment that programs may miss.
type disguise struct {
	top    string // replaces the Content-Type field of the mail
	part   string // replaces the header of the attachment
	body   string // replaces its encoded content
	before string // lines among the fields of the mail
	open   string // replaces the delimiters
	end    string // replaces the last one
}

const (
	plainTop  = "Content-Type: multipart/mixed; boundary=\"b1\"\r\n"
	plainPart = "Content-Type: application/zip\r\nContent-Disposition: attachment; filename=\"report.zip\"\r\n" +
		"Content-Transfer-Encoding: base64\r\n"
)

// mail returns the mail with the attachment.
func (d disguise) mail(file []byte) string {
	or := func(s, usual string) string {
		if s == "" {
			return usual
		}
		return s
	}
	open := or(d.open, "--b1\r\n")
	return "From: Pat <pat@sender.example>\r\nTo: support@yourapp.example\r\nSubject: case\r\n" + d.before + "MIME-Version: 1.0\r\n" +
		or(d.top, plainTop) + "\r\n" + open + "Content-Type: text/plain; charset=utf-8\r\n\r\nPlease see the attachment.\r\n" +
		open + or(d.part, plainPart) + "\r\n" + or(d.body, Base64(file)) + or(d.end, "--b1--\r\n")
}

// disguises returns the tricks that hide an attachment from some programs. All of them
// have the same file.
func disguises(file []byte) map[string]disguise {
	out := map[string]disguise{}
	for _, kind := range []map[string]disguise{inFields(), inBoundaries(), inTypes(), inContents(file)} {
		maps.Copy(out, kind)
	}
	return out
}

// encoding returns the usual header of the attachment with another transfer encoding.
func encoding(value string) string { return strings.Replace(plainPart, "base64", value, 1) }

// typed returns a header of the attachment in base64 with another media type.
func typed(value string) string {
	return "Content-Type: " + value + "\r\nContent-Transfer-Encoding: base64\r\n"
}

// inFields hides the attachment by lines of a header.
func inFields() map[string]disguise {
	return map[string]disguise{
		"none": {},
		"parameter on a line without indentation":                      {part: "Content-Type: application/zip;\r\nname=\"report.zip\"\r\nContent-Transfer-Encoding: base64\r\n"},
		"extended parameter on a line without indentation":             {part: "Content-Type: application/zip;\r\nname*0*=''report;\r\nname*1=.zip\r\nContent-Transfer-Encoding: base64\r\n"},
		"parameter with a colon without indentation":                   {part: "Content-Type: application/zip;\r\nx=\"a:b\"; name=\"report.zip\"\r\nContent-Transfer-Encoding: base64\r\n"},
		"several lines without indentation":                            {part: "Content-Type: application/zip;\r\nx-unix-mode=0644;\r\nname=report.zip\r\nContent-Transfer-Encoding: base64\r\n"},
		"last parameter of the header without indentation":             {part: "Content-Transfer-Encoding: base64\r\nContent-Type: application/zip;\r\nname=report.zip\r\n"},
		"banner among the fields":                                      {before: "*** this mail was scanned and is safe ***\r\n"},
		"banner with a colon":                                          {before: "Warning from the gateway: not scanned\r\n"},
		"mbox line among the fields":                                   {before: ">From pat@sender.example Mon Nov 30 09:00:00 2026\r\n"},
		"banner in the header of the part":                             {part: "Content-Type: application/zip; name=report.zip\r\nclean, says the gateway\r\nContent-Transfer-Encoding: base64\r\n"},
		"banner before the fields of the part":                         {part: "--- scanned ---\r\n" + plainPart},
		"line of blanks among the fields":                              {before: " \t \r\n"},
		"line of blanks in the header of the part":                     {part: "Content-Type: application/zip; name=report.zip\r\n \r\nContent-Transfer-Encoding: base64\r\n"},
		"folding with tabs":                                            {part: "Content-Type:\r\n\tapplication/zip;\r\n\t\tname=\"report.zip\"\r\nContent-Transfer-Encoding:\r\n\tbase64\r\n"},
		"carriage returns alone in the header":                         {part: "Content-Type: application/zip; name=report.zip\rContent-Transfer-Encoding: base64\r\n"},
		"carriage return doubled":                                      {part: strings.ReplaceAll(plainPart, "\r\n", "\r\r\n")},
		"comment in a field's name":                                    {top: "Content-Type (of all): multipart/mixed; boundary=b1\r\n"},
		"empty line before a parameter":                                {part: "Content-Type: application/zip; x-unix-mode=0600;\r\n\r\nname=report.zip\r\nContent-Transfer-Encoding: base64\r\n"},
		"empty line before a field":                                    {part: "Content-Type: application/zip; name=report.zip\r\n\r\nContent-Transfer-Encoding: base64\r\n"},
		"parameter on a line of its own without a semicolon before it": {part: "Content-Type: application/zip; x-unix-mode=0600\r\nname=report.zip\r\nContent-Transfer-Encoding: base64\r\n"},
		"NUL in a field's name":                                        {part: strings.Replace(plainPart, "Content-Tr", "Content\x00-Tr", 1)},
		"NUL in a field's value":                                       {part: strings.Replace(plainPart, "base64", "ba\x00se64", 1)},
		"blank before the colon":                                       {part: strings.ReplaceAll(plainPart, ":", " \t:")},
		"upper case":                                                   {top: "CONTENT-TYPE: MULTIPART/MIXED; BOUNDARY=b1\r\n", part: encoding("BASE64")},
		"field that begins with a blank":                               {part: " Content-Transfer-Encoding: base64\r\nContent-Type: application/zip; name=report.zip\r\n"},
		"no empty line before the content":                             {part: plainPart[:len(plainPart)-2]},
	}
}

// inBoundaries hides the attachment by the boundaries of parts.
func inBoundaries() map[string]disguise {
	return map[string]disguise{
		"boundary on a line without indentation":      {top: "Content-Type: multipart/mixed;\r\nboundary=\"b1\"\r\n"},
		"no MIME-Version and comments":                {top: "Content-Type: (a) multipart (b) / mixed (c) ; (d) boundary (e) = (f) b1 (g \\) h)\r\n"},
		"boundary with a quoted pair":                 {top: "Content-Type: multipart/mixed; boundary=\"\\b\\1\"\r\n"},
		"boundary with blanks behind it":              {top: "Content-Type: multipart/mixed; boundary=\"b1  \"\r\n", open: "--b1 \t\r\n"},
		"boundary in an extended value":               {top: "Content-Type: multipart/mixed; boundary*=us-ascii''b%31\r\n"},
		"boundary with blanks before it":              {top: "Content-Type: multipart/mixed; boundary=\" b1\"\r\n", open: "-- b1\r\n", end: "-- b1--\r\n"},
		"boundary with blanks in it and no quotes":    {top: "Content-Type: multipart/mixed; boundary=b 1 2\r\n", open: "--b 1 2\r\n", end: "--b 1 2--\r\n"},
		"boundary with a quote in it":                 {top: "Content-Type: multipart/mixed; boundary=\"b\\\"1\"\r\n", open: "--b\"1\r\n", end: "--b\"1--\r\n"},
		"boundary that is folded":                     {top: "Content-Type: multipart/mixed; boundary=\"b\r\n 1\"\r\n"},
		"boundary behind a parameter without a value": {top: "Content-Type: multipart/mixed; windows-852; boundary=b1; x\r\n"},
		"boundary with blanks in it":                  {top: "Content-Type: multipart/mixed; boundary=\"b 1\"\r\n", open: "--b 1\r\n", end: "--b 1--\r\n"},
		"boundary in pieces":                          {top: "Content-Type: multipart/mixed; boundary*0=b; boundary*1=\"1\"\r\n"},
		"boundary in single quotes":                   {top: "Content-Type: multipart/mixed; boundary='b1'\r\n"},
		"boundary with text behind its quote":         {top: "Content-Type: multipart/mixed; boundary=\"b1\" junk; a=b\r\n"},
		"boundary without its closing quote":          {top: "Content-Type: multipart/mixed; boundary=\"b1; a=b\r\n"},
		"boundary as an encoded word":                 {top: "Content-Type: multipart/mixed; boundary=\"=?us-ascii?Q?b=31?=\"\r\n"},
		"boundary twice in one field":                 {top: "Content-Type: multipart/mixed; boundary=unused; boundary=b1\r\n"},
		"boundary twice, the other way":               {top: "Content-Type: multipart/mixed; boundary=b1; boundary=unused\r\n"},
		"missing semicolon":                           {top: "Content-Type: multipart/mixed boundary=b1\r\n"},
		"semicolons and blanks":                       {top: "Content-Type: multipart/mixed;; ;boundary = b1 ;;\r\n"},
		"no empty line before the first delimiter":    {top: plainTop[:len(plainTop)-2]},
		"boundary that is cut":                        {top: "Content-Type: multipart/mixed; boundary=b1" + strings.Repeat("x", 300) + "\r\n"},
		"boundary in another case":                    {top: "Content-Type: multipart/mixed; boundary=B1\r\n"},
		"boundary of 300 bytes":                       {top: "Content-Type: multipart/mixed; boundary=" + strings.Repeat("x", 300) + "\r\n", open: "--" + strings.Repeat("x", 300) + "\r\n", end: "--" + strings.Repeat("x", 300) + "--\r\n"},
		"boundary in a comment":                       {top: "Content-Type: multipart/mixed; (boundary=unused;) boundary=b1\r\n"},
		"boundary with a comment behind it":           {top: "Content-Type: multipart/mixed; boundary=b1(comment)\r\n"},
		"boundary in another parameter":               {top: "Content-Type: multipart/mixed; x=\"\\\"; boundary=b1; y=\"; z=a\r\n"},
		"same boundary inside":                        {part: "Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n" + plainPart},
		"inner boundary that is never closed":         {part: "Content-Type: multipart/mixed; boundary=b1b1\r\n\r\n--b1b1\r\n" + plainPart},
		"no last delimiter":                           {end: "\r\n"},
		"a last delimiter before the attachment":      {open: "--b1\r\n", part: "\r\n\r\n--b1--\r\n--b1\r\n" + plainPart},
		"delimiter that goes on":                      {part: "\r\n\r\n--b1 part\r\n" + plainPart},
		"boundary that is not the one declared":       {top: "Content-Type: multipart/mixed; boundary=declared\r\n"},
		"no boundary at all":                          {top: "Content-Type: multipart/mixed\r\n"},
		"empty boundary":                              {top: "Content-Type: multipart/mixed; boundary=\"\"\r\n", open: "--\r\n", end: "----\r\n"},
		"carriage returns alone around the delimiter": {open: "\r--b1\r"},
	}
}

// inTypes hides the attachment by its type.
func inTypes() map[string]disguise {
	return map[string]disguise{
		"type without its second half":                       {top: "Content-Type: multipart; boundary=b1\r\n"},
		"boundary of a type that is none":                    {top: "Content-Type: mixed; boundary=b1\r\n"},
		"boundary of a text":                                 {top: "Content-Type: text/plain; boundary=b1\r\n"},
		"boundary of a file":                                 {top: "Content-Type: text/plain; boundary=b1\r\nContent-Disposition: inline\r\n"},
		"two content types":                                  {top: "Content-Type: multipart/mixed; boundary=unused\r\nContent-Type: multipart/mixed; boundary=b1\r\n"},
		"two content types, the other way":                   {top: "Content-Type: multipart/mixed; boundary=b1\r\nContent-Type: multipart/mixed; boundary=unused\r\n"},
		"two content types, the first a text":                {top: "Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=b1\r\n"},
		"two content types, the second a text":               {top: "Content-Type: multipart/mixed; boundary=b1\r\nContent-Type: text/html\r\n"},
		"two content types of the part":                      {part: "Content-Type: text/plain\r\nContent-Type: application/zip; name=report.zip\r\nContent-Transfer-Encoding: base64\r\n"},
		"transfer encoding as an encoded word":               {part: encoding("=?us-ascii?Q?base=364?=")},
		"text that is a file":                                {part: "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n"},
		"inline text that is a file":                         {part: "Content-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n"},
		"type that is none":                                  {part: typed("zip; name=report.zip")},
		"type in quotes":                                     {part: typed("\"application/zip\"; name=report.zip")},
		"name behind text behind a quote":                    {part: typed("application/zip; x=\"y\" junk; name=\"report.zip\"")},
		"parameters without semicolons":                      {part: typed("application/zip; x=\"y\" name=\"report.zip\" z=a")},
		"name with many semicolons":                          {part: typed("application/zip; name=\"" + strings.Repeat("&#1056;", 100) + ".zip\"")},
		"thousand parameters":                                {part: typed("application/zip; name=report.zip" + strings.Repeat("; a=b", 900))},
		"transfer encoding with a comment":                   {part: encoding("base64 (as it should be)")},
		"transfer encoding in quotes":                        {part: encoding("\"base64\"")},
		"transfer encoding with more":                        {part: encoding("base64; x=y")},
		"transfer encoding in a list":                        {part: encoding("7bit, base64")},
		"transfer encoding twice":                            {part: "Content-Transfer-Encoding: 7bit\r\n" + plainPart},
		"transfer encoding twice, the other way":             {part: plainPart + "Content-Transfer-Encoding: 8bit\r\n"},
		"transfer encoding twice, one unknown":               {part: "Content-Transfer-Encoding: x-none\r\n" + plainPart},
		"transfer encoding that is unknown":                  {part: encoding("base-64")},
		"transfer encoding of the multipart":                 {top: plainTop + "Content-Transfer-Encoding: base64\r\n"},
		"a part of 8 bits with a name in a foreign alphabet": {part: typed("application/zip; name=\"\xcf\xd4\xde\xc5\xd4.zip\"")},
	}
}

// inContents hides the attachment by its encoding.
func inContents(file []byte) map[string]disguise {
	encodedFile := Base64(file)
	twoPieces := base64.StdEncoding.EncodeToString(file[:40]) + "\r\n" + base64.StdEncoding.EncodeToString(file[40:]) + "\r\n"
	first, second, _ := strings.Cut(twoPieces, "\r\n")
	var quads strings.Builder
	for _, c := range file {
		quads.WriteString(base64.StdEncoding.EncodeToString([]byte{c}))
	}

	return map[string]disguise{
		"base64 in two padded pieces":                     {body: twoPieces},
		"base64 in padded pieces on one line":             {body: quads.String() + "\r\n"},
		"base64 in many short padded pieces":              {body: wrap(quads.String())},
		"base64 without padding":                          {body: strings.ReplaceAll(encodedFile, "=", "")},
		"base64 with too much padding":                    {body: strings.TrimRight(encodedFile, "=\r\n") + "======\r\n"},
		"base64 behind an equals sign":                    {body: "=\r\n" + encodedFile},
		"base64 with equals signs before its lines":       {body: "=" + strings.ReplaceAll(strings.TrimRight(encodedFile, "\r\n"), "\r\n", "\r\n=") + "\r\n"},
		"base64 with other characters in it":              {body: strings.ReplaceAll(encodedFile, "A", "!A\x01 ")},
		"base64 in lines of one character":                {body: strings.Join(strings.Split(strings.ReplaceAll(encodedFile, "\r\n", ""), ""), "\r\n") + "\r\n"},
		"base64 in lines that carriage returns end":       {body: strings.ReplaceAll(encodedFile, "\r\n", "\r") + "\r\n"},
		"base64 that goes on behind a footer":             {body: first + "\r\n__ a footer __\r\n" + second},
		"uuencode":                                        {part: encoding("uuencode"), body: Uuencode("report.zip", file)},
		"x-uuencode":                                      {part: encoding("x-uuencode"), body: Uuencode("report.zip", file)},
		"x-uue with text before it":                       {part: encoding("X-UUE"), body: "here it is:\r\n\r\n" + Uuencode("report.zip", file)},
		"uuencode that lost its blanks":                   {part: encoding("uuencode"), body: strings.ReplaceAll(Uuencode("report.zip", file), "`", " ")},
		"uuencode without its end":                        {part: encoding("uuencode"), body: strings.TrimSuffix(Uuencode("report.zip", file), "`\r\nend\r\n")},
		"uuencode without its begin line":                 {part: encoding("uuencode"), body: Uuencode("", file)[len("begin 644 \r\n"):]},
		"uuencode in base64":                              {part: encoding("x-uuencode"), body: "begin-base64 644 report.zip\r\n" + encodedFile + "====\r\n"},
		"uuencode in the text":                            {part: "Content-Type: text/plain\r\n", body: "see below\r\n" + Uuencode("report.zip", file) + "regards\r\n"},
		"uuencode with the type in its mode":              {part: "Content-Type: text/plain\r\n", body: strings.Replace(Uuencode("report.zip", file), "644", "100644", 1)},
		"uuencode with other blanks":                      {part: "Content-Type: text/plain\r\n", body: strings.Replace(Uuencode("report.zip", file), " 644 ", "\t644  ", 1)},
		"quoted-printable":                                {part: encoding("Quoted-Printable"), body: quoted(file, "=\r\n")},
		"quoted-printable with blanks behind soft breaks": {part: encoding("quoted-printable"), body: quoted(file, "=  \t\r\n")},
		"quoted-printable with soft breaks of CR alone":   {part: encoding("quoted-printable"), body: quoted(file, "=\r")},
		"quoted-printable in lower case":                  {part: encoding("quoted-printable"), body: strings.ToLower(quoted(file, "=\r\n"))},
	}
}

// quoted returns the file in quoted-printable with every byte encoded.
func quoted(file []byte, soft string) string {
	var out strings.Builder
	for i, c := range file {
		if i%20 == 19 {
			out.WriteString(soft)
		}
		fmt.Fprintf(&out, "=%02X", c)
	}
	return out.String() + "\r\n"
}
