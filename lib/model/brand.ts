// Brands: types that only one parser can mint.

declare const brand: unique symbol

/** `T` with a name that nothing but a parser of that name gives out. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }
