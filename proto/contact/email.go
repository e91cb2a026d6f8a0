package contact

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// maxLocal is the longest part before the @, in octets (RFC 5321, section 4.5.3.1.1).
const maxLocal = 64

// domains maps and checks the domains of e-mail addresses as IDNA 2008 does for a
// look-up (RFC 5891, UTS 46).
var domains = idna.New(
	idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(true), idna.CheckJoiners(true),
	idna.StrictDomainName(true), idna.VerifyDNSLength(true), idna.Transitional(false),
)

// Email returns the normal form of an e-mail address and what is wrong with it, "" if
// nothing is. The grammar is the Mailbox of RFC 5321 with the characters of RFC 6531,
// without the forms that no mail system gives out: quoted local parts and address
// literals. The domain has at least two labels; it is kept in Unicode and lower case,
// while the local part is kept as it was typed, since only its server knows whether
// case matters.
func Email(s string) (email, detail string) {
	s = clean(s)
	at := strings.LastIndexByte(s, '@')
	switch {
	case s == "":
		return s, "An e-mail address is needed."
	case !utf8.ValidString(s) || strings.ContainsFunc(s, control):
		return s, "An e-mail address has no control characters."
	case at < 0:
		return s, "An e-mail address has an @, as in name@example.com."
	}
	local, domain := s[:at], s[at+1:]
	if detail = localProblem(local); detail != "" {
		return s, detail
	}
	ascii, err := domains.ToASCII(domain)
	switch _, ip := netip.ParseAddr(domain); {
	case err != nil || ip == nil:
		return s, "The part after the @ is no domain name."
	case !strings.Contains(ascii, "."):
		return s, "The domain after the @ has no dot, as example.com has."
	case numeric(ascii[strings.LastIndexByte(ascii, '.')+1:]):
		return s, "The part after the @ is no domain name."
	case len(local)+1+len(ascii) > MaxEmail:
		return s, "An e-mail address is at most " + strconv.Itoa(MaxEmail) + " characters long."
	}
	// ToUnicode of what ToASCII took cannot fail.
	if domain, err = domains.ToUnicode(ascii); err != nil {
		return s, "The part after the @ is no domain name."
	}
	if s = local + "@" + norm.NFC.String(domain); len(s) > MaxEmail {
		return s, "An e-mail address is at most " + strconv.Itoa(MaxEmail) + " characters long."
	}
	return s, ""
}

// localProblem checks a Dot-string of RFC 5321 whose atoms may have any character
// outside ASCII (RFC 6531, section 3.3).
func localProblem(local string) string {
	if local == "" {
		return "The part before the @ is missing."
	}
	if len(local) > maxLocal {
		return "The part before the @ is longer than " + strconv.Itoa(maxLocal) + " characters."
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" {
			return "The part before the @ has a dot too many."
		}
		for _, r := range atom {
			if r < utf8.RuneSelf && !atext(r) || r == '\u00A0' || r == '\u3000' {
				return "The part before the @ has a character that e-mail addresses do not have: " + quote(r) + "."
			}
		}
	}
	return ""
}

func quote(r rune) string {
	if r == ' ' || r == '\u00A0' || r == '\u3000' {
		return "a space"
	}
	return string(r)
}

// atext is that of RFC 5322, section 3.2.3.
func atext(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

func numeric(s string) bool { return strings.Trim(s, "0123456789") == "" }
