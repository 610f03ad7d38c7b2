// As walk.c.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

func main() {
	times, _ := strconv.Atoi(os.Args[2])
	names, bytes := 0, 0
	for i := 0; i < times; i++ {
		err := filepath.WalkDir(os.Args[1], func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			names++
			if !entry.Type().IsRegular() {
				return nil
			}
			text, err := os.ReadFile(path)
			bytes += len(text)
			return err
		})
		if err != nil {
			panic(err)
		}
	}
	fmt.Printf("%d names, %d bytes\n", names, bytes)
}
