//! The issuer's RSA key: made here, kept in a file if wanted, never sent anywhere.

use std::fmt::Display;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const READABLE_BY_OWNER: u32 = 0o600;

/// A key to sign with, and its public half as a JWK.
pub(super) struct SigningKey {
    pair: KeyPair,
    id: String,
    modulus: String,
    exponent: String,
}

impl SigningKey {
    pub(super) fn generate() -> io::Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(io::Error::other)?;
        Ok(Self::new(pair))
    }

    /// The key in the file, or a new one that the file then holds (as PKCS #8).
    pub(super) fn load_or_create(path: &Path) -> io::Result<Self> {
        if path.exists() {
            return Self::load(path).map_err(|error| about(path, &error));
        }
        let key = Self::generate()?;
        match key.save(path) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            saved => saved.map(|()| key),
        }
        .map_err(|error| about(path, &error))
    }

    /// A signed JWT of these claims.
    #[expect(
        clippy::expect_used,
        reason = "a whole key signs anything, and tests want a token and not a result"
    )]
    pub(super) fn sign(&self, claims: &impl Display) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.id});
        let encode = |part: &dyn Display| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message.as_bytes(),
                &mut signature,
            )
            .expect("an RSA key of 2048 bits signs a SHA-256 digest");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The public half.
    pub(super) fn jwk(&self) -> Value {
        json!({
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.id,
            "n": self.modulus,
            "e": self.exponent,
        })
    }

    fn new(pair: KeyPair) -> Self {
        let public = PublicKeyComponents::from(pair.public_key());
        let modulus = URL_SAFE_NO_PAD.encode(public.n);
        let exponent = URL_SAFE_NO_PAD.encode(public.e);
        // The thumbprint of RFC 7638: the same key has the same name after a restart.
        let canonical = format!(r#"{{"e":"{exponent}","kty":"RSA","n":"{modulus}"}}"#);
        Self {
            pair,
            id: URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)),
            modulus,
            exponent,
        }
    }

    fn load(path: &Path) -> io::Result<Self> {
        let content = fs::read(path)?;
        let pair = KeyPair::from_pkcs8(&content).map_err(io::Error::other)?;
        fs::set_permissions(path, Permissions::from_mode(READABLE_BY_OWNER))?;
        Ok(Self::new(pair))
    }

    fn save(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let content: Pkcs8V1Der<'_> = self.pair.as_der().map_err(io::Error::other)?;
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(READABLE_BY_OWNER)
            .open(path)?;
        file.write_all(content.as_ref())
    }
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    let advice = "remove the file to get a new key";
    io::Error::new(
        error.kind(),
        format!("the signing key {}: {error}; {advice}", path.display()),
    )
}
