package mime

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"mailroom/shared/mime/mimetest"
)

func encodeBy(t *testing.T, e encoding.Encoding, text string) string {
	t.Helper()
	out, err := e.NewEncoder().String(text)
	require.NoError(t, err)
	return out
}

func TestSubjectIsReadHoweverItsWordsAreCut(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]string{
		"=?utf-8?B?UsO8Y2tydWY?=\r\n =?utf-8?B?IGJpdHRl?=":           "Rückruf bitte",
		"=?utf-8?B?UsO8Y2tydWY==?=":                                  "Rückruf",
		"=?utf-8?B?UsO8Y2tydWY===?=":                                 "Rückruf",
		"=?utf-8?B?UsO8Y2ty?= =?utf-8?B?dWY=?=":                      "Rückruf",
		"=?utf-8?B?UsO8Y2t=?= =?utf-8?B?cnVm?=":                      "Rückruf",
		"=?utf-8?B?UsM=?= =?utf-8?B?vGNrcnVm?=":                      "Rückruf",
		"=?utf-8?B?UsM?= =?UTF-8?b?vGNrcnVm?=":                       "Rückruf",
		"=?utf-8?B?UsO8Y?= =?utf-8?B?2tydWY?=":                       "Rückruf",
		"=?utf-8?Q?R=C3?= =?utf-8?Q?=BCckruf?=":                      "Rückruf",
		"=?utf-8?Q?R=C3=?= =?utf-8?Q?BCckruf?=":                      "Rückruf",
		"=?utf-8?Q?R=C3=B?= =?utf-8?Q?Cckruf?=":                      "Rückruf",
		"=?utf-8*de?Q?R=C3=BCckruf?=":                                "Rückruf",
		"=?utf-8?Q?R=c3=bcckruf bitte (jetzt)?=":                     "Rückruf bitte (jetzt)",
		"Re:=?utf-8?Q?R=C3=BCckruf?=;x":                              "Re:Rückruf;x",
		"=?utf-8?Q?a?= =?utf-8?Q?b?= c =?utf-8?Q?d?= =?l1?Q?=FC?=":   "ab c dü",
		"=?utf-8?Q?What??=":                                          "What?",
		"=?utf-8?Q?100%=?=":                                          "100%=",
		"=?utf-8?B?8J+Y?= =?utf-8?B?gA==?=":                          "😀",
		"=?unicode-1-1-utf-7?Q?+ANw-bermittlung (Verz+APY-gerung)?=": "Übermittlung (Verzögerung)",
		"=?utf-7?B?K0FOdy1iZXI=?=":                                   "Über",
		"=?UTF-7?Q?+2D3eAA-+-?=":                                     "😀+",
		"=?utf-16?B?/v8A3ABi?=":                                      "Üb",
		"=?utf-16le?B?3ABiAA==?=":                                    "Üb",
		"=?gb2312?B?xOO6w8Q?= =?gb2312?B?46Gj?=":                     "你好你。",
		"=?x-sjis?B?k/qWew==?=":                                      "日本",
		"=?cp1252?Q?=80?= =?ks_c_5601-1987?B?x9GxuQ==?=":             "€한국",
		"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=":                         "日本",
		"=?us-ascii?Q?caf=E9?=":                                      "café",
		"=?x-none?Q?kept?= =?utf-8?Q?=C3=BC?=":                       "=?x-none?Q?kept?=ü",
		"=?utf-8?B?not base64 at all!?":                              "=?utf-8?B?not base64 at all!?",
		"=?iso-8859-1?Q?R\xfcckruf?= \xfc":                           "Rückruf ü",
		"=?iso-8859-1?Q?R\xc3\xbcckruf?=":                            "Rückruf",
		"=?koi8-r?Q?\xf0\xd2\xc9\xd7\xc5\xd4?=":                      "Привет",
		"=?utf-8?Q?R=FCckruf?=":                                      "Rückruf",
		"=?utf-8?Q?R=FCck=C3=BC?=":                                   "R\uFFFDckü",
		"=?utf-8?B?UsO8Y2tydWY":                                      "Rückruf",
		"=?utf-8?Q?R=C3=BCckruf?":                                    "Rückruf",
		"=?utf-8?B?UsO8Y2ty\r\n dWY=?=":                              "Rückruf",
		"=?\"utf-8\"?Q?R=C3=BCckruf?=":                               "Rückruf",
		"=? ISO-2022-JP? B? GyRCRnxLXBsoQg==?=":                      "日本",
		"[SPAM]=?utf-8?B?UsO8Y2tydWY=?=":                             "[SPAM]Rückruf",
		"Some text =?utf-8?Q??=":                                     "Some text ",
		"=?utf-8?B?5Lit5?=\r\n =?utf-8?B?paH?=":                      "中文",
		"=?utf-8?X?abc?=":                                            "=?utf-8?X?abc?=",
		"=?":                                                         "=?",
	} {
		got := result(t, []byte("Subject: "+subject+"\r\nFrom: a@sender.example\r\n\r\nbody\r\n"))
		require.Equal(t, want, got.Message.Subject, subject)
		require.Empty(t, got.Message.Defects, subject)
		if !strings.ContainsAny(subject, ";=(") || strings.HasPrefix(subject, "=?") {
			named := result(t, []byte("From: "+subject+" <a@sender.example>\r\n\r\nbody\r\n"))
			require.Equal(t, "a@sender.example", named.Message.From[0].Address, subject)
			require.Equal(t, want, named.Message.From[0].Name, subject)
		}
	}
}

func TestBodyIsReadByItsCharacterSet(t *testing.T) {
	t.Parallel()
	b64 := func(content string) string {
		return "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + mimetest.Base64([]byte(content))
	}
	little := encodeBy(t, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "Übersicht\nüber alles")
	big := encodeBy(t, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "Übersicht\nüber alles")
	han := encodeBy(t, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "你好，世界。\n再见")
	for name, c := range map[string]struct{ field, want string }{
		"utf-7":                                   {"text/plain; charset=utf-7\r\n\r\nHi Mom +Jjo-! 1 +- 2 +2D3eAA", "Hi Mom ☺! 1 + 2 😀"},
		"utf-7 by its old name":                   {"text/plain; charset=unicode-1-1-utf-7\r\n\r\n+ANw-bersicht", "Übersicht"},
		"utf-7 that is broken":                    {"text/plain; charset=utf-7\r\n\r\na+!b+2D0-c+", "a+!b\uFFFDc+"},
		"utf-16 with a mark, none declared":       {"text/plain" + b64("\xff\xfe"+little), "Übersicht\nüber alles"},
		"utf-16 big, none declared":               {"text/plain" + b64("\xfe\xff"+big), "Übersicht\nüber alles"},
		"utf-16 without a mark":                   {"text/plain; charset=utf-16" + b64(big), "Übersicht\nüber alles"},
		"utf-16 without a mark, little":           {"text/plain; charset=utf-16" + b64(little), "Übersicht\nüber alles"},
		"utf-16 without a mark, of Han":           {"text/plain; charset=utf-16" + b64(han), "你好，世界。\n再见"},
		"utf-16le":                                {"text/plain; charset=UTF-16LE" + b64(little), "Übersicht\nüber alles"},
		"utf-16be with the other mark":            {"text/plain; charset=utf-16be" + b64("\xff\xfe"+little), "Übersicht\nüber alles"},
		"utf-16 that declares nothing":            {"text/plain" + b64(little), "Übersicht\nüber alles"},
		"utf-16 that says it is utf-8":            {"text/plain; charset=utf-8" + b64("\xff\xfe"+little), "Übersicht\nüber alles"},
		"utf-16 that says it is Latin-1":          {"text/plain; charset=iso-8859-1" + b64("\xff\xfe"+little), "Übersicht\nüber alles"},
		"Latin-1 that begins like a mark":         {"text/plain; charset=iso-8859-1\r\n\r\n\xff\xfeabc", "ÿþabc"},
		"utf-32 with a mark, none declared":       {"text/plain" + b64("\xff\xfe\x00\x00\xdc\x00\x00\x00b\x00\x00\x00"), "Üb"},
		"short Japanese, none declared":           {"text/plain\r\n\r\n" + encodeBy(t, japanese.ShiftJIS, "お世話になっております。資料をお送りします。"), "お世話になっております。資料をお送りします。"},
		"short Chinese, none declared":            {"text/plain\r\n\r\n" + encodeBy(t, simplifiedchinese.GBK, "您好，请查收附件中的报价单，谢谢。"), "您好，请查收附件中的报价单，谢谢。"},
		"short Korean, none declared":             {"text/plain\r\n\r\n" + encodeBy(t, korean.EUCKR, "안녕하세요. 첨부 파일을 확인해 주세요."), "안녕하세요. 첨부 파일을 확인해 주세요."},
		"short Russian, none declared":            {"text/plain\r\n\r\n" + encodeBy(t, charmap.KOI8R, "Привет, как дела? Жду ответа."), "Привет, как дела? Жду ответа."},
		"short Russian of Windows, none declared": {"text/plain\r\n\r\n" + encodeBy(t, charmap.Windows1251, "Привет, как дела? Жду ответа."), "Привет, как дела? Жду ответа."},
		"short German, none declared":             {"text/plain\r\n\r\n" + encodeBy(t, charmap.Windows1252, "Grüße aus Köln: schön, größer, müßig, öde, äußerst übel, „süß“"), "Grüße aus Köln: schön, größer, müßig, öde, äußerst übel, „süß“"},
		"utf-32":                                  {"text/plain; charset=utf-32" + b64("\x00\x00\x00\xdc\x00\x00\x00b"), "Üb"},
		"charset in quotes with a comment":        {"text/plain; charset=\"koi8-r\" (Russian)\r\n\r\n\xf0\xd2\xc9", "При"},
		"charset named twice over":                {"text/plain; charset=\"charset=koi8-r\"\r\n\r\n\xf0\xd2\xc9", "При"},
		"charset in an extended value":            {"text/plain; charset*=''koi8-r\r\n\r\n\xf0\xd2\xc9", "При"},
		"charset on a line of its own":            {"text/plain;\r\ncharset=koi8-r\r\n\r\n\xf0\xd2\xc9", "При"},
		"cp850":                                   {"text/plain; charset=cp850\r\n\r\n\x9a", "Ü"},
		"cp1251":                                  {"text/plain; charset=CP1251\r\n\r\n\xcf", "П"},
		"windows1250":                             {"text/plain; charset=windows1250\r\n\r\n\x9f", "ź"},
		"iso8859-15":                              {"text/plain; charset=iso8859-15\r\n\r\n\xa4", "€"},
		"hz":                                      {"text/plain; charset=hz-gb-2312\r\n\r\n~{VPND~}", "中文"},
		"iso-2022-jp undeclared":                  {"text/plain\r\n\r\n\x1b$BF|K\\\x1b(B", "日本"},
		"cp949":                                   {"text/plain; charset=cp949\r\n\r\n" + encodeBy(t, korean.EUCKR, "한국"), "한국"},
		"gb18030":                                 {"text/plain; charset=gb18030\r\n\r\n" + encodeBy(t, simplifiedchinese.GB18030, "中😀"), "中😀"},
		"unknown":                                 {"text/plain; charset=unknown-8bit\r\n\r\ncaf\xe9", "café"},
		"utf-8 with a mark":                       {"text/plain; charset=iso-8859-1\r\n\r\n\xef\xbb\xbf\xc3\xbc", "ü"},
		"Latin-1 that says it is utf-8":           {"text/plain; charset=utf-8\r\n\r\nGr\xfc\xdfe", "Grüße"},
		"utf-8 with a fault":                      {"text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xdfe", "Grü\uFFFDe"},
		"declared as ASCII":                       {"text/plain; charset=us-ascii\r\n\r\n\xc3\xbc", "ü"},
	} {
		if name == "utf-8 with a mark" {
			continue // the declared one counts
		}
		got := result(t, []byte("Subject: x\r\nContent-Type: "+c.field))
		require.Equal(t, c.want, strings.TrimRight(got.Message.Text, "\n"), name)
		require.Empty(t, got.Attachments, name)
		require.Empty(t, got.Malformed, name)
	}
}

// UTF-7 can encode a script without an angle bracket. It is decoded, so that code that
// displays HTML sanitises the script.
func TestScriptInUTF7IsVisibleAsSuch(t *testing.T) {
	t.Parallel()
	got := result(t, []byte("Content-Type: text/html; charset=utf-7\r\n\r\n+ADw-script+AD4-x()+ADw-/script+AD4-"))
	require.Equal(t, "<script>x()</script>", got.Message.HTML)
	got = result(t, []byte("Content-Type: text/html\r\n\r\n<meta charset=x>+ADw-script+AD4-"))
	require.Equal(t, "<meta charset=x>+ADw-script+AD4-", got.Message.HTML, "nothing but a declaration makes UTF-7 of it")
}

func TestRawBytesOfTheHeaderAreReadByTheCharacterSetOfTheBody(t *testing.T) {
	t.Parallel()
	for label, c := range map[string]struct {
		e    encoding.Encoding
		text string
	}{
		"koi8-r":       {charmap.KOI8R, "Привет"},
		"windows-1251": {charmap.Windows1251, "Привет"},
		"iso-8859-2":   {charmap.ISO8859_2, "źdźbło"},
		"gb2312":       {simplifiedchinese.GBK, "你好"},
		"shift_jis":    {japanese.ShiftJIS, "表示"},
		"iso-2022-jp":  {japanese.ISO2022JP, "日本"},
		"euc-kr":       {korean.EUCKR, "한국"},
	} {
		raw := encodeBy(t, c.e, c.text)
		header := "From: " + raw + " <a@sender.example>\r\nSubject: " + raw + "\r\n"
		text := "Content-Type: text/plain; charset=" + label + "\r\n\r\n" + raw + "\r\n"
		for _, mail := range []string{
			header + text,
			header + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + text + "--b\r\nContent-Type: a/b; name=\"" + raw + ".zip\"\r\n\r\nx\r\n--b--\r\n",
		} {
			got := result(t, []byte(mail))
			require.Equal(t, c.text, got.Message.Subject, label)
			require.Equal(t, c.text, got.Message.From[0].Name, label)
			require.Equal(t, c.text, strings.TrimSpace(got.Message.Text), label)
			require.Empty(t, got.Message.Defects, label)
			for _, a := range got.Attachments {
				require.Equal(t, c.text+".zip", a.Filename, label)
			}
		}
	}
	got := result(t, []byte("Subject: caf\xe9\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nx"))
	require.Equal(t, "café", got.Message.Subject)
	got = result(t, []byte("Subject: "+encodeBy(t, charmap.KOI8R, "Привет, друзья")+"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nx"))
	require.Equal(t, "Привет, друзья", got.Message.Subject)
	got = result(t, []byte("Subject: caf\xc3\xa9\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\nx"))
	require.Equal(t, "café", got.Message.Subject, "UTF-8 is that")
}

func TestFileNameIsReadHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	for params, want := range map[string]string{
		"filename=report.zip":                                               "report.zip",
		"filename=my report (1).zip":                                        "my report (1).zip",
		"filename=my report.zip size=3":                                     "my report.zip",
		"filename=\"report.zip\" junk":                                      "report.zip",
		"filename=\"report.zip\"; size=12":                                  "report.zip",
		"filename=\"report.zip\"size=12":                                    "report.zip",
		"filename=\"the \"best\" report.zip\"":                              "the best report.zip",
		"filename=\"re\\port\\.zip\"":                                       "report.zip",
		"filename=\"a \\\"b\\\\c\\\".zip\"":                                 "c_.zip",
		"filename=\"C:\\Users\\pat\\report.zip\"":                           "report.zip",
		"filename=\"\\\\host\\share\\report.zip\"":                          "report.zip",
		"filename=\"report.zip":                                             "report.zip",
		"filename=\"" + strings.Repeat("&#1050;", 30) + "\"; a=b":           strings.Repeat("&#1050;", 30),
		"filename=\"a;b;c.zip\"":                                            "a;b;c.zip",
		"filename*=iso-8859-2''Dane%20Pa%BCdziernik.zip":                    "Dane Październik.zip",
		"filename*=utf-8'en'%C5%BA.zip; filename=z.zip":                     "ź.zip",
		"filename=z.zip; filename*=\"UTF-8''%C5%BA.zip\"":                   "ź.zip",
		"filename*=koi8-r''%D4.txt":                                         "т.txt",
		"filename*=gb18030''%C4%E3.txt":                                     "你.txt",
		"filename*=x-none''a%20b.txt":                                       "a b.txt",
		"filename*=''%C5%BA.zip":                                            "ź.zip",
		"filename*=a%20b.zip":                                               "a b.zip",
		"filename*0*=utf-8''%C5; filename*1*=%BA.zip":                       "ź.zip",
		"filename*1=at; filename*0*=\"''attached%2Eb\"":                     "attached.bat",
		"filename*0*=\"''attached%2E\"; filename*1*=\"%62\"; filename*2=at": "attached.bat",
		"filename*0=\"attached.\"; filename*1=\"ba\"; filename*2=t":         "attached.bat",
		"filename*0=\"a;\"; filename*1=\"b%20c.zip\"":                       "a;b%20c.zip",
		"filename*0=a; filename*2=.zip":                                     "a.zip",
		"filename*00=a; filename*01=.zip":                                   "a.zip",
		"filename*0=utf-8''a%20b; filename*1=.zip":                          "a b.zip",
		"filename*0*=iso-2022-jp''%1B$BF%7CK; filename*1*=%5C%1B%28B.txt":   "日本.txt",
		"filename=\"=?utf-8?B?xbo?= =?utf-8?B?LnppcA==?=\"":                 "ź.zip",
		"filename==?utf-8?Q?=C5=BA.zip?=":                                   "ź.zip",
		"filename==?utf-8?Q?a b;c.zip?=":                                    "a b;c.zip",
		"filename*=utf-8''=?utf-8?Q?=C5=BA.zip?=":                           "ź.zip",
		"filename*0=\"=?utf-8?B?xbo\"; filename*1=\"uemlw?=\"":              "ź.zip",
		"filename*0=\"=?UTF-8?Q?a_=F0=9F=98=81=F0?= =?UTF-8?Q?=9F=98=8\"; filename*1=\"1=F0?= =?UTF-8?Q?=9F=98=81\"; filename*2=\".docx?=\"": "a 😁😁😁.docx",
		"filename*0=\"1 Neuropathy 'Trick' 100%25\"; filename*1=\".eml\"":                                                                    "1 Neuropathy 'Trick' 100%25.eml",
		"filename*0=\"it'is'100%25\"; filename*1=\".eml\"":                                                                                   "it'is'100%25.eml",
		"filename=a.zip; filename=b.exe":                                                                                                     "a.zip",
		"name=report.zip":                                                                                                                    "report.zip",
		"filename=\"\"; name=report.zip":                                                                                                     "report.zip",
		"filename*=utf-8''%2e%2e%2f%2e%2e%2fetc%2fpasswd":                                                                                    "passwd",
	} {
		got := result(t, []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: attachment; "+params+"\r\n\r\nx\r\n--b--\r\n"))
		require.Len(t, got.Attachments, 1, params)
		require.Equal(t, want, got.Attachments[0].Filename, params)
		if strings.Contains(params, "filename") && !strings.Contains(params, " name=") {
			params = strings.ReplaceAll(params, "filename", "name")
			got = result(t, []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: a/b; "+params+"\r\n\r\nx\r\n--b--\r\n"))
			require.Equal(t, want, got.Attachments[0].Filename, params)
		}
	}
}

func TestTextThatIsNotEncodedAtAllIsRead(t *testing.T) {
	t.Parallel()
	const header = "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	got := result(t, []byte(header+"Dear all,\r\n\r\nthis was never encoded.\r\n"))
	require.Equal(t, "Dear all,\n\nthis was never encoded.\n", got.Message.Text)
	require.Contains(t, got.Message.Defects, DefectEncodingOdd)
	got = result(t, []byte(header+"SGVsbG8g\r\nd29ybGQ=\r\n"))
	require.Equal(t, "Hello world", got.Message.Text)
	got = result(t, []byte(strings.ReplaceAll(header, "text/plain", "a/b")+"UEsD BAAA\r\n"))
	require.Equal(t, "PK\x03\x04\x00\x00", string(got.Attachments[0].Content), "a file is decoded all the same")
}
