package filename_test

import (
	"fmt"

	"mailroom/shared/mime/filename"
)

func ExampleClean() {
	fmt.Println(filename.Clean(`C:\Users\pat\report.pdf`, "application/pdf"))
	fmt.Println(filename.Clean("../../etc/passwd", ""))
	fmt.Println(filename.Clean("CON.txt", "text/plain"))
	fmt.Println(filename.Clean("", "image/png"))
	// Output:
	// report.pdf
	// passwd
	// _CON.txt
	// attachment.png
}
