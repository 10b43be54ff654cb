//! Keys of the user-based security model: from pass phrase to digest and cipher (RFC 3414 section 2.6 and appendix A,
//! RFC 7860, RFC 3826).

use aes::Aes128;
use aes::cipher::KeyIvInit;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Digest;

use crate::conf::model::{AuthProtocol, Secret};

/// Runs `$body` with `$Hash` as the hash of the protocol.
macro_rules! with_hash {
    ($protocol:expr, $Hash:ident => $body:expr) => {
        match $protocol {
            AuthProtocol::Sha1 => {
                type $Hash = sha1::Sha1;
                $body
            }
            AuthProtocol::Sha224 => {
                type $Hash = sha2::Sha224;
                $body
            }
            AuthProtocol::Sha256 => {
                type $Hash = sha2::Sha256;
                $body
            }
            AuthProtocol::Sha384 => {
                type $Hash = sha2::Sha384;
                $body
            }
            AuthProtocol::Sha512 => {
                type $Hash = sha2::Sha512;
                $body
            }
        }
    };
}

/// A user's key, the same for all engines. Stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    protocol: AuthProtocol,
    key: Vec<u8>,
}

impl MasterKey {
    /// Hashes a megabyte made of the pass phrase, which takes milliseconds: keep the result.
    ///
    /// The configuration admits no phrase below eight characters (RFC 3414 section 11.2); the key of an empty one is the
    /// hash of nothing.
    pub fn new(protocol: AuthProtocol, phrase: &Secret) -> Self {
        const MEGABYTE: usize = 1 << 20;
        let phrase = phrase.0.as_bytes();
        // Some kilobytes at once instead of phrase by phrase.
        let chunk = phrase.repeat(4096_usize.div_ceil(phrase.len().max(1)));
        let key = with_hash!(protocol, Hash => {
            let mut hash = Hash::new();
            let mut left = if chunk.is_empty() { 0 } else { MEGABYTE };
            while left > 0 {
                let part = chunk.get(..left).unwrap_or(&chunk);
                hash.update(part);
                left -= part.len();
            }
            hash.finalize().to_vec()
        });
        MasterKey { protocol, key }
    }

    /// The key of this user at one engine (RFC 3414 section 2.6).
    fn localized(&self, engine_id: &[u8]) -> Vec<u8> {
        with_hash!(self.protocol, Hash => {
            Hash::new().chain_update(&self.key).chain_update(engine_id).chain_update(&self.key).finalize().to_vec()
        })
    }

    pub fn auth_key(&self, engine_id: &[u8]) -> AuthKey {
        AuthKey { protocol: self.protocol, key: self.localized(engine_id) }
    }

    /// For AES-128: the first 16 octets (RFC 3826 section 1.2.1). Every hash has at least 20.
    pub fn privacy_key(&self, engine_id: &[u8]) -> PrivacyKey {
        let localized = self.localized(engine_id);
        PrivacyKey { key: *localized.first_chunk().expect("a hash has at least 20 octets") }
    }
}

/// Signs and checks messages of one user at one engine.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthKey {
    protocol: AuthProtocol,
    key: Vec<u8>,
}

impl AuthKey {
    /// Octets of msgAuthenticationParameters.
    pub fn digest_len(&self) -> usize {
        match self.protocol {
            AuthProtocol::Sha1 => 12,
            AuthProtocol::Sha224 => 16,
            AuthProtocol::Sha256 => 24,
            AuthProtocol::Sha384 => 32,
            AuthProtocol::Sha512 => 48,
        }
    }

    /// Of a message given in parts.
    pub fn sign(&self, parts: [&[u8]; 3]) -> Vec<u8> {
        let mut digest =
            with_hash!(self.protocol, Hash => self.mac::<Hmac<Hash>>(parts).finalize().into_bytes().to_vec());
        digest.truncate(self.digest_len());
        digest
    }

    /// In constant time; a digest of another length is wrong.
    pub fn verify(&self, parts: [&[u8]; 3], digest: &[u8]) -> bool {
        digest.len() == self.digest_len()
            && with_hash!(self.protocol, Hash => self.mac::<Hmac<Hash>>(parts).verify_truncated_left(digest).is_ok())
    }

    fn mac<M: Mac + KeyInit>(&self, parts: [&[u8]; 3]) -> M {
        let mut mac = <M as KeyInit>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        parts.iter().for_each(|part| Mac::update(&mut mac, part));
        mac
    }
}

/// Encrypts and decrypts messages of one user at one engine: AES-128 in cipher feedback mode (RFC 3826 section 3.1).
#[derive(Clone, PartialEq, Eq)]
pub struct PrivacyKey {
    key: [u8; 16],
}

impl PrivacyKey {
    pub fn encrypt(&self, boots: u32, time: u32, salt: [u8; 8], data: &mut [u8]) {
        cfb_mode::Encryptor::<Aes128>::new(&self.key.into(), &iv(boots, time, salt).into()).encrypt(data);
    }

    pub fn decrypt(&self, boots: u32, time: u32, salt: [u8; 8], data: &mut [u8]) {
        cfb_mode::Decryptor::<Aes128>::new(&self.key.into(), &iv(boots, time, salt).into()).decrypt(data);
    }
}

/// RFC 3826 section 3.1.2.1.
fn iv(boots: u32, time: u32, salt: [u8; 8]) -> [u8; 16] {
    (u128::from(boots) << 96 | u128::from(time) << 64 | u128::from(u64::from_be_bytes(salt))).to_be_bytes()
}

/// Whether two secrets are equal, in a time that depends on their lengths only.
pub fn same_secret(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| std::hint::black_box(difference | (a ^ b)));
    a.len() == b.len() && difference == 0
}

macro_rules! kept_secret {
    ($($Key:ident),*) => {
        $(impl std::fmt::Debug for $Key {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($Key), "(..)"))
            }
        })*
    };
}
kept_secret!(MasterKey, AuthKey, PrivacyKey);

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine of RFC 3414 appendix A.3.
    const ENGINE: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    fn master(protocol: AuthProtocol) -> MasterKey {
        MasterKey::new(protocol, &Secret("maplesyrup".to_owned()))
    }

    #[test]
    fn keys_are_those_of_rfc_3414_appendix_a_3_2() {
        let key = master(AuthProtocol::Sha1);
        assert_eq!(hex(&key.key), "9fb5cc0381497b3793528939ff788d5d79145211");
        assert_eq!(hex(&key.localized(&ENGINE)), "6695febc9288e36282235fc7151f128497b38f3f");
        assert_eq!(hex(&key.privacy_key(&ENGINE).key), "6695febc9288e36282235fc7151f1284");
    }

    /// That the keys are right, too, net-snmp says in `tests/snmp.rs`.
    #[test]
    fn keys_of_sha_2_have_the_length_of_their_hash_and_digests_that_of_rfc_7860() {
        use AuthProtocol::*;
        for (protocol, key, digest) in
            [(Sha1, 20, 12), (Sha224, 28, 16), (Sha256, 32, 24), (Sha384, 48, 32), (Sha512, 64, 48)]
        {
            let auth = master(protocol).auth_key(&ENGINE);
            assert_eq!((auth.key.len(), auth.sign([b"a", b"b", b"c"]).len()), (key, digest));
            assert_eq!(auth.sign([b"a", b"b", b"c"]), auth.sign([b"abc", b"", b""]));
        }
    }

    /// RFC 2202 section 3, test case 1 and 2; RFC 4231 section 4.3.
    #[test]
    fn digests_are_those_of_the_hmac_test_vectors() {
        let digest =
            |protocol, key: &[u8], data: &[u8]| hex(&AuthKey { protocol, key: key.to_vec() }.sign([data, b"", b""]));
        assert_eq!(digest(AuthProtocol::Sha1, &[0x0b; 20], b"Hi There"), "b617318655057264e28bc0b6");
        let (key, data) = (b"Jefe", b"what do ya want for nothing?");
        assert_eq!(digest(AuthProtocol::Sha1, key, data), "effcdf6ae5eb2fa2d27416d5");
        assert_eq!(digest(AuthProtocol::Sha224, key, data), "a30e01098bc6dbbf45690f3a7e9e6d0f");
        assert_eq!(digest(AuthProtocol::Sha256, key, data), "5bdcc146bf60754e6a042426089575c75a003f089d273983");
        assert_eq!(
            digest(AuthProtocol::Sha384, key, data),
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
        );
        assert_eq!(
            digest(AuthProtocol::Sha512, key, data),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd"
        );
    }

    #[test]
    fn a_digest_of_one_wrong_bit_or_of_another_length_is_wrong() {
        let key = master(AuthProtocol::Sha256).auth_key(&ENGINE);
        let digest = key.sign([b"message", b"", b""]);
        assert!(key.verify([b"message", b"", b""], &digest));
        for bit in 0..digest.len() * 8 {
            let mut wrong = digest.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify([b"message", b"", b""], &wrong));
        }
        assert!(!key.verify([b"message", b"", b""], &digest[..12]));
        assert!(!key.verify([b"message", b"", b""], b""));
    }

    /// NIST SP 800-38A appendix F.3.13, whose vector of initialisation is told as boots, time and salt.
    #[test]
    fn encryption_is_aes_128_in_cipher_feedback_mode() {
        let key = PrivacyKey { key: 0x2b7e1516_28aed2a6_abf71588_09cf4f3c_u128.to_be_bytes() };
        let plain = 0x6bc1bee2_2e409f96_e93d7e11_7393172a_u128.to_be_bytes();
        let salt = 0x08090a0b_0c0d0e0f_u64.to_be_bytes();
        let mut data = plain;
        key.encrypt(0x00010203, 0x04050607, salt, &mut data);
        assert_eq!(hex(&data), "3b3fd92eb72dad20333449f8e83cfb4a");
        key.decrypt(0x00010203, 0x04050607, salt, &mut data);
        assert_eq!(data, plain);
    }

    #[test]
    fn secrets_are_the_same_only_in_full() {
        assert!(same_secret(b"public", b"public"));
        for other in [&b"publib"[..], b"publi", b"public2", b""] {
            assert!(!same_secret(b"public", other));
        }
    }

    #[test]
    fn keys_are_not_shown() {
        assert_eq!(format!("{:?}", master(AuthProtocol::Sha1)), "MasterKey(..)");
    }
}
