package codec_test

import (
	"fmt"
	"log"

	"go.temporal.io/sdk/converter"

	"github.com/baton-transfers/baton/codec"
)

// The first key of a ring encrypts, and all decrypt: a new key is added in front of the old one.
func ExampleParseKeyRing() {
	const old, next = "2026-11:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "2026-12:HwABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4=" //nolint:gosec // keys of an example
	before, err := codec.ParseKeyRing(old)
	if err != nil {
		log.Fatal(err)
	}
	payload, err := codec.DataConverter(before).ToPayload("Charged twice.")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(payload.GetMetadata()[converter.MetadataEncoding]))

	after, err := codec.ParseKeyRing(next + "," + old)
	if err != nil {
		log.Fatal(err)
	}
	var text string
	err = codec.DataConverter(after).FromPayload(payload, &text)
	fmt.Println(after.IDs(), text, err)
	// Output:
	// binary/encrypted
	// [2026-12 2026-11] Charged twice. <nil>
}
