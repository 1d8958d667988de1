//! Enums whose values have a stable number in stored bytes and a stable code in the API.

/// Makes an enum with the integer type of its numbers, `Name: u8 { /// doc ⏎ Variant = 1 "code", }`, and the
/// ways between value, number and code. INVARIANT: a number or a code never comes to mean something else.
#[macro_export]
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident: $int:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable code: part of the API, never translated.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// The stable number in stored, hashed and signed bytes.
            #[must_use]
            pub const fn number(self) -> $int {
                match self { $(Self::$variant => $number),* }
            }

            /// From the stable number.
            #[must_use]
            pub const fn from_number(number: $int) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// From the stable code.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.code())
            }
        }
    };
}
