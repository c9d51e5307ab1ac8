package subscribe

import "bytes"

// value is what follows the first `"name":` in a JSON text: a number's digits or a string without its quotes (and without
// undoing escapes: ids, cursors and types have none). Reading a few fields so costs a tenth of decoding the message.
func value(text []byte, quoted string) []byte {
	return after(text, bytes.Index(text, []byte(quoted)), len(quoted))
}

// lastValue is the same for the last one.
func lastValue(text []byte, quoted string) []byte {
	return after(text, bytes.LastIndex(text, []byte(quoted)), len(quoted))
}

func after(text []byte, at, skip int) []byte {
	if at < 0 {
		return nil
	}
	rest := bytes.TrimLeft(text[at+skip:], ": ")
	if len(rest) > 0 && rest[0] == '"' {
		rest = rest[1:]
		return rest[:max(0, bytes.IndexByte(rest, '"'))]
	}
	end := 0
	for end < len(rest) && (rest[end] == '-' || '0' <= rest[end] && rest[end] <= '9') {
		end++
	}
	return rest[:end]
}

// number is a decimal integer; 0 where there is none.
func number(digits []byte) (result int64) {
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return 0
		}
		result = result*10 + int64(digit-'0')
	}
	return
}
