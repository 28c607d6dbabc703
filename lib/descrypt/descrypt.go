// Package descrypt is the traditional crypt(3) of Unix, used by old password files. Its hashes are weak: only eight
// characters count, and computers try all of them. It exists to check existing hashes, not to make new ones.
//
// The algorithm is that of Seventh Edition Unix (R. Morris, K. Thompson: Password Security, 1979): a block of zeros is
// encrypted 25 times with DES (FIPS 46-3), whose expansion the salt modifies. Each bit is stored in one byte, as in the
// original.
package descrypt

import "crypto/subtle"

// hashBytes are two characters of salt and eleven of the block, six bits each.
const hashBytes = 13

const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// IsHash reports whether a text can be a result of Crypt.
func IsHash(text string) bool {
	if len(text) != hashBytes {
		return false
	}
	for i := range len(text) {
		if sixBits(text[i]) < 0 {
			return false
		}
	}
	return true
}

// Matches reports whether a hash was made from a password.
func Matches(hash, password string) bool {
	return IsHash(hash) && subtle.ConstantTimeCompare([]byte(Crypt(password, hash[:2])), []byte(hash)) == 1
}

// Crypt makes a hash; the salt is two characters of ./0-9A-Za-z.
func Crypt(password, salt string) string {
	var key, block [64]byte
	for i := 0; i < len(password) && i < 8 && password[i] != 0; i++ {
		for j := range 7 {
			key[8*i+j] = password[i] >> (6 - j) & 1
		}
	}
	keys := schedule(&key)
	expansion := expand
	for i := range 2 {
		c := sixBits(salt[i])
		for j := range 6 {
			if c>>j&1 != 0 {
				a, b := 6*i+j, 6*i+j+24
				expansion[a], expansion[b] = expansion[b], expansion[a]
			}
		}
	}
	for range 25 {
		encrypt(&block, &keys, &expansion)
	}
	hash := []byte(salt[:2])
	for i := range 11 {
		c := 0
		for j := range 6 {
			c <<= 1
			if at := 6*i + j; at < 64 {
				c |= int(block[at])
			}
		}
		hash = append(hash, alphabet[c])
	}
	return string(hash)
}

// sixBits is the value of a character of the alphabet, -1 for others.
func sixBits(c byte) int {
	switch {
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 38
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 12
	case c >= '.' && c <= '9':
		return int(c - '.')
	}
	return -1
}

// schedule makes the keys of the sixteen rounds.
func schedule(key *[64]byte) (keys [16][48]byte) {
	var cd [56]byte
	for i, from := range permutedChoice1 {
		cd[i] = key[from-1]
	}
	for round, shifts := range rotations {
		for range shifts {
			for _, half := range [][]byte{cd[:28], cd[28:]} {
				first := half[0]
				copy(half, half[1:])
				half[27] = first
			}
		}
		for i, from := range permutedChoice2 {
			keys[round][i] = cd[from-1]
		}
	}
	return keys
}

// encrypt is DES with the caller's expansion.
func encrypt(block *[64]byte, keys *[16][48]byte, expansion *[48]byte) {
	var lr [64]byte
	for i, from := range initialPermutation {
		lr[i] = block[from-1]
	}
	left, right := lr[:32], lr[32:]
	for round := range keys {
		var mixed [48]byte
		for i, from := range expansion {
			mixed[i] = right[from-1] ^ keys[round][i]
		}
		var substituted [32]byte
		for box := range boxes {
			b := mixed[6*box : 6*box+6]
			row, column := b[0]<<1|b[5], b[1]<<3|b[2]<<2|b[3]<<1|b[4]
			v := boxes[box][16*row+column]
			for j := range 4 {
				substituted[4*box+j] = v >> (3 - j) & 1
			}
		}
		for i, from := range permutation {
			left[i] ^= substituted[from-1]
		}
		left, right = right, left
	}
	var swapped [64]byte
	copy(swapped[:32], right)
	copy(swapped[32:], left)
	for i, to := range initialPermutation { // its inverse is the final permutation
		block[to-1] = swapped[i]
	}
}

// The tables of FIPS 46-3, which count bits from 1.
var (
	initialPermutation = [64]byte{
		58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6,
		64, 56, 48, 40, 32, 24, 16, 8, 57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3,
		61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47, 39, 31, 23, 15, 7}
	permutedChoice1 = [56]byte{
		57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
		63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4}
	permutedChoice2 = [48]byte{
		14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
		41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32}
	rotations = [16]int{1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1}
	expand    = [48]byte{
		32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17,
		16, 17, 18, 19, 20, 21, 20, 21, 22, 23, 24, 25, 24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1}
	permutation = [32]byte{
		16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
		2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25}
	boxes = [8][64]byte{
		{14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8,
			4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13},
		{15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5,
			0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9},
		{10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1,
			13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12},
		{7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9,
			10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14},
		{2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6,
			4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3},
		{12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8,
			9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13},
		{4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6,
			1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12},
		{13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2,
			7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11},
	}
)
