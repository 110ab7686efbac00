package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// curl stands in for the program of that name where the machine has none: as
// much of it as the README and the scripts use. It exits with what it failed
// at, like curl, and not with the status of the answer.
func curl() {
	if err := curlArgs(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "curl: %v\n", err)
		os.Exit(1)
	}
}

func curlArgs(args []string) error {
	var method, body, url, output, dump string
	var hasBody, withHead bool
	header := http.Header{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		value := func() string {
			if len(args) == 0 {
				return ""
			}
			v := args[0]
			args = args[1:]
			return v
		}
		switch arg {
		case "-s", "-S", "-sS":
		case "-i":
			withHead = true
		case "-X":
			method = value()
		case "-d":
			body, hasBody = value(), true
		case "-o":
			output = value()
		case "-D":
			dump = value()
		case "-H":
			name, v, _ := strings.Cut(value(), ":")
			header.Add(name, strings.TrimSpace(v))
		default:
			if strings.HasPrefix(arg, "-") {
				return fmt.Errorf("option %s is not known to this stand-in", arg)
			}
			url = arg
		}
	}
	if method == "" && hasBody {
		method = http.MethodPost
	}
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = header
	if hasBody && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()

	var head strings.Builder
	fmt.Fprintf(&head, "%s %s\r\n", response.Proto, response.Status)
	if err := response.Header.Write(&head); err != nil {
		return err
	}
	head.WriteString("\r\n")
	if dump == "-" {
		fmt.Print(head.String())
	}
	if output != "" {
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	if withHead {
		fmt.Print(head.String())
	}
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}
