"""The words captions are made of, in English, French, Spanish and German."""

from __future__ import annotations

LANGUAGES = ("en", "fr", "es", "de")

# object -> ((article, noun, gender), ...); gender selects the colour form.
NOUNS: dict[str, dict[str, tuple[tuple[str, str, str], ...]]] = {
    "en": {
        "ball": (("a", "ball", "m"), ("a", "round ball", "m"), ("a", "beach ball", "m")),
        "star": (("a", "star", "m"), ("a", "five-pointed star", "m"), ("a", "little star", "m")),
        "heart": (("a", "heart", "m"), ("a", "love heart", "m"), ("a", "big heart", "m")),
        "car": (("a", "car", "m"), ("a", "small car", "m"), ("a", "automobile", "m"), ("a", "toy car", "m")),
        "boat": (("a", "boat", "m"), ("a", "sailboat", "m"), ("a", "sailing ship", "m"), ("a", "ship", "m")),
        "fish": (("a", "fish", "m"), ("a", "goldfish", "m"), ("a", "big fish", "m")),
        "rocket": (("a", "rocket", "m"), ("a", "space rocket", "m"), ("a", "spaceship", "m")),
        "flower": (("a", "flower", "m"), ("a", "blossom", "m"), ("a", "daisy", "m")),
        "": (("a", "thing", "m"), ("a", "shape", "m"), ("a", "object", "m"), ("a", "cat", "m"),
             ("a", "house", "m"), ("a", "man", "m"), ("a", "balloon animal", "m"), ("a", "tree", "m"),
             ("a", "dog", "m"), ("a", "bird", "m"), ("a", "chair", "m"), ("a", "dragon", "m"),
             ("a", "robot", "m"), ("a", "train", "m"), ("a", "woman", "m"), ("a", "cloud", "m")),
    },
    "fr": {
        "ball": (("une", "balle", "f"), ("un", "ballon", "m")),
        "star": (("une", "étoile", "f"),),
        "heart": (("un", "cœur", "m"), ("un", "coeur", "m")),
        "car": (("une", "voiture", "f"), ("une", "auto", "f")),
        "boat": (("un", "bateau", "m"), ("un", "voilier", "m"), ("un", "navire", "m")),
        "fish": (("un", "poisson", "m"),),
        "rocket": (("une", "fusée", "f"),),
        "flower": (("une", "fleur", "f"),),
        "": (("une", "chose", "f"), ("un", "objet", "m"), ("un", "chat", "m"), ("une", "maison", "f"), ("un", "robot", "m")),
    },
    "es": {
        "ball": (("una", "pelota", "f"), ("un", "balón", "m"), ("una", "bola", "f")),
        "star": (("una", "estrella", "f"),),
        "heart": (("un", "corazón", "m"),),
        "car": (("un", "coche", "m"), ("un", "carro", "m"), ("un", "auto", "m")),
        "boat": (("un", "barco", "m"), ("un", "velero", "m"), ("una", "barca", "f")),
        "fish": (("un", "pez", "m"), ("un", "pescado", "m")),
        "rocket": (("un", "cohete", "m"),),
        "flower": (("una", "flor", "f"),),
        "": (("una", "cosa", "f"), ("un", "objeto", "m"), ("un", "gato", "m"), ("una", "casa", "f"), ("un", "robot", "m")),
    },
    "de": {
        "ball": (("ein", "Ball", "m"), ("eine", "Kugel", "f")),
        "star": (("ein", "Stern", "m"),),
        "heart": (("ein", "Herz", "n"),),
        "car": (("ein", "Auto", "n"), ("ein", "Wagen", "m")),
        "boat": (("ein", "Boot", "n"), ("ein", "Segelboot", "n"), ("ein", "Schiff", "n")),
        "fish": (("ein", "Fisch", "m"),),
        "rocket": (("eine", "Rakete", "f"),),
        "flower": (("eine", "Blume", "f"), ("eine", "Blüte", "f")),
        "": (("ein", "Ding", "n"), ("ein", "Gegenstand", "m"), ("eine", "Katze", "f"), ("ein", "Haus", "n"), ("ein", "Roboter", "m")),
    },
}

# colour -> (masculine, feminine, neuter)
COLOUR_WORDS: dict[str, dict[str, tuple[tuple[str, str, str], ...]]] = {
    "en": {
        "red": (("red",) * 3, ("bright red",) * 3, ("crimson",) * 3, ("scarlet",) * 3),
        "orange": (("orange",) * 3, ("bright orange",) * 3),
        "yellow": (("yellow",) * 3, ("golden yellow",) * 3, ("lemon yellow",) * 3),
        "green": (("green",) * 3, ("emerald green",) * 3, ("bright green",) * 3),
        "blue": (("blue",) * 3, ("deep blue",) * 3, ("bright blue",) * 3),
        "purple": (("purple",) * 3, ("violet",) * 3),
        "pink": (("pink",) * 3, ("rose pink",) * 3),
        "white": (("white",) * 3, ("snow-white",) * 3),
    },
    "fr": {
        "red": (("rouge",) * 3,),
        "orange": (("orange",) * 3,),
        "yellow": (("jaune",) * 3,),
        "green": (("vert", "verte", "vert"),),
        "blue": (("bleu", "bleue", "bleu"),),
        "purple": (("violet", "violette", "violet"),),
        "pink": (("rose",) * 3,),
        "white": (("blanc", "blanche", "blanc"),),
    },
    "es": {
        "red": (("rojo", "roja", "rojo"),),
        "orange": (("naranja",) * 3, ("anaranjado", "anaranjada", "anaranjado")),
        "yellow": (("amarillo", "amarilla", "amarillo"),),
        "green": (("verde",) * 3,),
        "blue": (("azul",) * 3,),
        "purple": (("morado", "morada", "morado"), ("violeta",) * 3),
        "pink": (("rosa",) * 3, ("rosado", "rosada", "rosado")),
        "white": (("blanco", "blanca", "blanco"),),
    },
    "de": {
        "red": (("roter", "rote", "rotes"),),
        "orange": (("oranger", "orange", "oranges"), ("orangefarbener", "orangefarbene", "orangefarbenes")),
        "yellow": (("gelber", "gelbe", "gelbes"),),
        "green": (("grüner", "grüne", "grünes"),),
        "blue": (("blauer", "blaue", "blaues"),),
        "purple": (("lila",) * 3, ("violetter", "violette", "violettes")),
        "pink": (("rosa",) * 3, ("pinker", "pinke", "pinkes")),
        "white": (("weißer", "weiße", "weißes"),),
    },
}

MOTION_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "right": ("moves to the right", "goes from left to right", "drifts right", "moving right", "travels to the right", "glides from left to right"),
        "left": ("moves to the left", "goes from right to left", "drifts left", "moving left", "travels to the left", "glides from right to left"),
        "up": ("rises", "goes up", "floats up", "climbs upwards", "rising", "moves upwards"),
        "down": ("falls", "sinks down", "drops down", "falling", "comes down", "moves downwards"),
        "bounce": ("bounces", "bounces up and down", "bouncing", "hops up and down", "jumps up and down"),
        "closer": ("comes closer", "grows bigger", "approaches", "comes towards the camera", "growing larger", "gets closer to us"),
    },
    "fr": {
        "right": ("va vers la droite", "glisse vers la droite"),
        "left": ("va vers la gauche", "glisse vers la gauche"),
        "up": ("monte", "s'élève", "monte vers le haut"),
        "down": ("tombe", "descend", "tombe vers le bas"),
        "bounce": ("rebondit", "saute de haut en bas"),
        "closer": ("s'approche", "grandit", "vient vers nous"),
    },
    "es": {
        "right": ("se mueve hacia la derecha", "se desliza a la derecha"),
        "left": ("se mueve hacia la izquierda", "se desliza a la izquierda"),
        "up": ("sube", "se eleva", "sube hacia arriba"),
        "down": ("cae", "baja", "desciende"),
        "bounce": ("rebota", "rebotando", "salta arriba y abajo"),
        "closer": ("se acerca", "crece", "viene hacia nosotros"),
    },
    "de": {
        "right": ("bewegt sich nach rechts", "fährt nach rechts", "gleitet nach rechts"),
        "left": ("bewegt sich nach links", "fährt nach links", "gleitet nach links"),
        "up": ("steigt auf", "steigt nach oben", "schwebt nach oben"),
        "down": ("fällt", "sinkt", "fällt nach unten"),
        "bounce": ("hüpft", "springt auf und ab", "hüpft auf und ab"),
        "closer": ("kommt näher", "wird größer", "kommt auf uns zu"),
    },
}

PLACES: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "meadow": ("over a green meadow", "in a meadow", "on a grassy field", "over green hills", "in the grass under a blue sky"),
        "sea": ("on the sea", "over the blue ocean", "at sea", "on the waves", "above the blue sea"),
        "night": ("at night", "under the stars", "in the night sky", "by moonlight", "under a dark night sky"),
        "desert": ("in the desert", "over sand dunes", "across the sandy desert", "in a yellow desert"),
        "forest": ("in a forest", "in the woods", "among trees", "in a dark green forest"),
        "city": ("in the city", "in front of skyscrapers", "over a city skyline", "in a big city", "downtown"),
        "space": ("in outer space", "in space", "among planets and galaxies", "in the universe"),
        "room": ("in a room", "inside a living room", "indoors", "in a bedroom", "in the house"),
        "sunset": ("at sunset", "in the evening sun", "under an orange sunset sky", "at dusk"),
        "mountains": ("in the mountains", "over snowy mountains", "in front of white mountain peaks", "in the Alps"),
    },
    "fr": {
        "meadow": ("sur une prairie verte", "dans un pré", "dans l'herbe"),
        "sea": ("sur la mer", "sur l'océan bleu", "sur les vagues"),
        "night": ("la nuit", "sous les étoiles", "dans le ciel nocturne"),
        "desert": ("dans le désert", "sur les dunes de sable"),
        "forest": ("dans la forêt", "dans les bois"),
        "city": ("dans la ville", "devant des gratte-ciel"),
        "space": ("dans l'espace", "dans l'univers"),
        "room": ("dans une chambre", "dans le salon", "dans une pièce"),
        "sunset": ("au coucher du soleil", "au crépuscule"),
        "mountains": ("dans les montagnes", "devant des montagnes enneigées"),
    },
    "es": {
        "meadow": ("sobre un prado verde", "en un prado", "en la hierba"),
        "sea": ("en el mar", "sobre el océano azul", "sobre las olas"),
        "night": ("de noche", "bajo las estrellas", "en el cielo nocturno"),
        "desert": ("en el desierto", "sobre las dunas de arena"),
        "forest": ("en el bosque", "entre los árboles"),
        "city": ("en la ciudad", "delante de rascacielos"),
        "space": ("en el espacio", "en el universo"),
        "room": ("en una habitación", "en el salón", "en un cuarto"),
        "sunset": ("al atardecer", "durante la puesta de sol"),
        "mountains": ("en las montañas", "sobre montañas nevadas"),
    },
    "de": {
        "meadow": ("über einer grünen Wiese", "auf einer Wiese", "im Gras"),
        "sea": ("auf dem Meer", "über dem blauen Ozean", "auf den Wellen"),
        "night": ("in der Nacht", "bei Nacht", "unter den Sternen", "am Nachthimmel"),
        "desert": ("in der Wüste", "über Sanddünen"),
        "forest": ("im Wald", "zwischen Bäumen"),
        "city": ("in der Stadt", "vor Hochhäusern"),
        "space": ("im Weltraum", "im Weltall"),
        "room": ("in einem Zimmer", "im Wohnzimmer", "in einem Raum"),
        "sunset": ("bei Sonnenuntergang", "in der Abenddämmerung"),
        "mountains": ("in den Bergen", "vor verschneiten Bergen"),
    },
}

OPENINGS: dict[str, tuple[str, ...]] = {
    "en": ("a video of ", "a clip of ", "cartoon of ", "please show me ", "a short film: ", "an animation of "),
    "fr": ("une vidéo d'", "un film : ", "montre-moi "),
    "es": ("un vídeo de ", "una animación: ", "muéstrame "),
    "de": ("ein Video: ", "ein Film: ", "zeige mir "),
}
