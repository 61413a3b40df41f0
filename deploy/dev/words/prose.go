package main

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// letter stands for the word before.
const letter = 'a'

// word is one word of a text.
type word struct {
	text    string // lower case
	at, end int
	joined  bool // only white space stands between it and the word before
	opening bool // begins a sentence
}

// checkProse finds the phrases of the list in a text, in which code is blanked out.
// opening tells whether phrases for the start of a sentence count.
func (l *list) checkProse(path string, text []byte, opening bool) []finding {
	words := split(text)

	var found []finding
	for i := 0; i < len(words); i++ {
		if n := longest(l.allowed.starting(words[i].text), words[i:], false); n > 0 {
			i += n - 1
			continue
		}

		for _, p := range l.text.starting(words[i].text) {
			if !p.matches(words[i:], opening) {
				continue
			}
			last := words[i+len(p.words)-1]
			found = append(found, finding{
				path: path, line: 1 + bytes.Count(text[:words[i].at], []byte("\n")),
				phrase: strings.Join(strings.Fields(string(text[words[i].at:last.end])), " "), write: p.write,
			})
			break
		}
	}
	return found
}

// longest returns how many words the longest matching phrase has.
func longest(all []phrase, words []word, opening bool) int {
	n := 0
	for _, p := range all {
		if p.matches(words, opening) {
			n = max(n, len(p.words))
		}
	}
	return n
}

// matches reports whether words begin with the phrase.
func (p phrase) matches(words []word, opening bool) bool {
	if len(words) < len(p.words) || p.opening && (!opening || !words[0].opening) {
		return false
	}
	for i, pattern := range p.words {
		if !fits(pattern, words[i].text) || i > 0 && !words[i].joined {
			return false
		}
	}
	return true
}

// split returns the words of a text. A name with a hyphen, a digit or an underscore is
// one word, so that names of metrics and fields are none of the list.
func split(text []byte) []word {
	var words []word
	before, spaced := rune(code), false // what stands before a word that is no space
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if !inWord(r) {
			if unicode.IsSpace(r) {
				spaced = true
			} else {
				before, spaced = r, false
			}
			i += size
			continue
		}

		w := word{at: i, joined: before == letter}
		w.opening = before == code && unicode.IsUpper(r) || spaced && strings.ContainsRune(".:;!?", before)
		for i < len(text) && (inWord(r) || r == '\'') {
			i += size
			r, size = utf8.DecodeRune(text[i:])
		}
		w.end = i
		w.text = strings.TrimRight(strings.TrimSuffix(strings.ToLower(string(text[w.at:i])), "'s"), "'-")
		words = append(words, w)
		before, spaced = letter, false
	}
	return words
}

func inWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '-'
}
