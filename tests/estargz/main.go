// Makes an eStargz layer of a tar archive by the code that eStargz comes from: `estargz TAR LAYER`. Prints the digest of the
// table of contents, which a manifest pins.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"github.com/containerd/stargz-snapshotter/estargz"
)

func main() {
	tar, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	info, err := tar.Stat()
	if err != nil {
		log.Fatal(err)
	}
	blob, err := estargz.Build(io.NewSectionReader(tar, 0, info.Size()))
	if err != nil {
		log.Fatal(err)
	}
	layer, err := os.Create(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(layer, blob); err != nil {
		log.Fatal(err)
	}
	if err := layer.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(blob.TOCDigest())
}
