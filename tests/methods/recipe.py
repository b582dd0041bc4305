"""The well-known tutorial's Grad-CAM, step by step: an independent reference for the tests.

One Keras model from the input to a convolution's output and the prediction; the gradient of the
class score; its mean over space; the weighted sum; ReLU; division by the maximum. (The steps are
those of Selvaraju et al. 2017, as many tutorials write them down; the code is ours.)
"""

import keras
import tensorflow as tf


def recipe(model, layer_name, image, index=None):
    both = keras.Model(model.inputs[0], [model.get_layer(layer_name).output, model.outputs[0]])
    with tf.GradientTape() as tape:
        activation, prediction = both(image)
        index = int(tf.argmax(prediction[0])) if index is None else index
        score = prediction[:, index]
    gradient = tape.gradient(score, activation)
    weights = tf.reduce_mean(gradient, axis=(0, 1, 2))
    heatmap = tf.nn.relu(tf.reduce_sum(activation[0] * weights, axis=-1))
    return (heatmap / tf.reduce_max(heatmap)).numpy()
