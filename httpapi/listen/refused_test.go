package listen

import "testing"

func TestOnlyRefusalsAreReplaced(t *testing.T) {
	for _, text := range []string{
		"", "HTTP/1.1", "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{}",
		"HTTP/1.1 200 OK" + refusedHeaders, "HTTP/1.1 x" + refusedHeaders, "x" + plainToTLS, plainToTLS + "x",
		`{"a":"HTTP/1.1 400 Bad Request` + refusedHeaders + `"}`,
	} {
		if status, sentence := refused([]byte(text)); status != 0 {
			t.Errorf("%q is taken for %d %s", text, status, sentence)
		}
	}
}
